"""The glue in a real browser: an answer that raises is told to the reader in red, and to the tests as an error."""

CELL = """
import ipywidgets as ui
from tutorial_lib import widgets

text = ui.HTML()

def respond(a):
    text.value = f"a tenth of the inverse is {0.1 / a:.2f}"

widgets.together([widgets.slider("a", 1, 0, 4, 1)], respond, text)
"""


def test_an_error_of_an_answer_is_shown_in_red_and_counted_and_gone_with_the_next_answer(lab, open_notebook):
    lab.write("fragile.ipynb", CELL)
    notebook = open_notebook("fragile.ipynb")
    notebook.run_all()
    alarm = notebook.page.locator(".tutorial-widget .alarm span")
    assert alarm.count() == 0

    notebook.slider("a")
    notebook.press("ArrowLeft")
    alarm.wait_for(timeout=10_000)
    assert (
        alarm.text_content()
        == "ZeroDivisionError: float division by zero. The picture shows the last setting that worked."
    )
    assert alarm.evaluate("line => getComputedStyle(line).color") == "rgb(176, 65, 62)"
    notebook.page.wait_for_function("() => window.seenErrors.length > 0", timeout=10_000)
    assert notebook.errors() == ["ZeroDivisionError: float division by zero"]

    notebook.press("ArrowRight")
    alarm.wait_for(state="detached", timeout=10_000)
    assert notebook.page.get_by_text("a tenth of the inverse is 0.10").count() == 1
