"""CLAIMS.md has a row for every claim that a test backs and none besides; its numbers are left to `make claims`."""

import ast
import pkgutil

import pytest

from . import ledger

CLAIMS = ledger.claims()


def naming_offences(claim: ledger.Claim, source: str) -> list[str]:
    """What keeps a test module from being the test of its claim."""
    stem = f"test_claim_{claim.number.replace('.', '_')}"
    tests = [node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    tests = [name for name in tests if name.startswith("test")]
    offences = [f"{name} is not named {stem}_…" for name in tests if not name.startswith(f"{stem}_")]
    if claim.test != f"tests/claims/{stem}.py":
        offences.append(f"{claim.test} is not named {stem}.py")
    if not tests or "claim.record(" not in source:
        offences.append("no test records a number")
    return offences


def test_the_ledger_has_a_row_for_every_claim_and_none_besides(request):
    if request.config.getoption("--write-claims"):
        pytest.skip("CLAIMS.md is being written")
    written = ledger.identities(ledger.LEDGER.read_text()) if ledger.LEDGER.exists() else []
    assert written == [claim.identity for claim in CLAIMS], "run `make claims`"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.number)
def test_a_claim_names_its_test_its_notebook_and_its_function(claim):
    assert naming_offences(claim, (ledger.ROOT / claim.test).read_text()) == []
    assert (ledger.ROOT / "notebooks" / f"{claim.notebook.removesuffix('.ipynb')}.ipynb").exists()
    assert callable(pkgutil.resolve_name(claim.function))


EXAMPLE = """
CLAIM = dict(
    number="4.10",
    section="§4.1",
    statement="E[r | x_t] is "
    "a number",
    notebook="04_1_theory",
    function="tutorial_lib.exact.SoftValues",
)

def test_claim_4_10_holds(claim):
    claim.record(measured="0.4 %", threshold="≤ 0.6 %")
"""


def claim_at(folder, number):
    file = folder / f"test_claim_{number.replace('.', '_')}.py"
    file.write_text(EXAMPLE.replace("4.10", number).replace("4_10", number.replace(".", "_")))
    return file


def test_a_claim_is_read_from_its_module_and_written_in_order(tmp_path):
    for number in ("4.10", "E1", "4.9", "10.1"):
        claim_at(tmp_path, number)
    found = ledger.claims(tmp_path)
    assert [claim.number for claim in found] == ["4.9", "4.10", "10.1", "E1"]

    first = {"measured": "0.4 %", "threshold": "≤ 0.6 %", "floor": "0.1 %", "label": ""}
    second = {"measured": "p|q", "threshold": "1", "floor": "none", "label": "T = 20"}
    text = ledger.table(found, {claim.test: [first, second] for claim in found})
    assert ledger.identities(text) == [claim.identity for claim in found]
    assert r"| 0.4 %<br>T = 20: p\|q | ≤ 0.6 %<br>T = 20: 1 | 0.1 %<br>T = 20: none |" in text
    assert r"E[r \| x_t] is a number" in text


def test_a_claim_without_a_number_stops_the_writing(tmp_path):
    claim_at(tmp_path, "4.10")
    with pytest.raises(ValueError, match=r"4\.10 recorded no number"):
        ledger.table(ledger.claims(tmp_path), {})


def test_a_module_without_a_claim_or_with_a_strange_number_is_refused(tmp_path):
    file = claim_at(tmp_path, "4.10")
    file.write_text(file.read_text().replace("CLAIM", "CLAMS"))
    with pytest.raises(ValueError, match="has no CLAIM"):
        ledger.read_claim(file)
    with pytest.raises(ValueError, match="expected a claim number"):
        ledger.order("four")


def test_a_wrong_name_is_found(tmp_path):
    claim = ledger.read_claim(claim_at(tmp_path, "4.10"))
    assert naming_offences(claim, EXAMPLE) == []
    assert naming_offences(claim, EXAMPLE.replace("test_claim_4_10_holds", "test_claim_4_1_holds"))
    assert naming_offences(claim, EXAMPLE.replace("claim.record", "print"))
    assert naming_offences(ledger.read_claim(claim_at(tmp_path, "4.9")), EXAMPLE)
