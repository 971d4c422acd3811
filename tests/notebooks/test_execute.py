"""A notebook as it is committed: its outputs, and neither progress bars, times nor the state of widgets."""

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from .cells import said
from .execute import execute

NOISY = """import warnings
from tqdm import tqdm
for _ in tqdm(range(3), desc="counting"):
    pass
warnings.warn("mind the step")
print("seen")"""
WIDGET = "import ipywidgets\nipywidgets.IntSlider()"


def test_outputs_are_kept_and_standard_error_is_told_and_dropped(tmp_path, capsys):
    file = tmp_path / "made.ipynb"
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(new_notebook(cells=[new_code_cell(NOISY), new_code_cell(WIDGET)], metadata=kernel), file)
    execute(file)
    noisy, widget = (made := nbformat.read(file, as_version=nbformat.NO_CONVERT)).cells
    assert said(noisy.outputs) == "seen\n" and noisy.execution_count == 1
    assert {output.name for output in noisy.outputs} == {"stdout"}
    assert "text/plain" in widget.outputs[0].data and "widgets" not in made.metadata
    assert "execution" not in noisy.metadata
    assert "mind the step" in (told := capsys.readouterr().err) and "counting" not in told
