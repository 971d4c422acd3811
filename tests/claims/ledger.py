"""The claims ledger: CLAIMS.md, one row for every claim of the paper that a test backs.

What a claim says stands in its test module, tests/claims/test_claim_4_5.py, as CLAIM = dict(number=…, section=…,
statement=…, notebook=…, function=…). What it measured comes from the run: each test calls `claim.record(…)`, and
`pytest --write-claims` (`make claims`) writes the table.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEDGER = ROOT / "CLAIMS.md"
COLUMNS = ("claim", "§", "statement", "notebook", "function", "test", "measured", "threshold", "noise floor")
HEADER = f"""# Claims

What the paper says, and the number that shows it. Every row is backed by a test and by a notebook cell that asserts it.
`make claims` writes this file from a run of the tests; nothing here is typed by hand.

| {" | ".join(COLUMNS)} |
|{" --- |" * len(COLUMNS)}
"""


@dataclass(frozen=True, kw_only=True)
class Claim:
    number: str
    section: str
    statement: str
    notebook: str
    function: str
    test: str

    @property
    def identity(self) -> list[str]:
        """The cells of the row that do not depend on a run."""
        name = self.notebook.removesuffix(".ipynb")
        notebook = f"[{name}](notebooks/{name}.ipynb)"
        test = f"[{Path(self.test).stem}]({self.test})"
        cells = [self.number, self.section, self.statement, notebook, f"`{self.function}`", test]
        return [escape(cell) for cell in cells]


def escape(cell: str) -> str:
    return " ".join(cell.split()).replace("|", r"\|")


def order(number: str) -> tuple:
    """4.9 before 4.10, and the experiments (E1, F2, …) after the numbered sections."""
    match = re.fullmatch(r"([A-Z]?)(\d+)(?:\.(\d+))?", number)
    if match is None:
        raise ValueError(f"expected a claim number such as 4.5 or E1, got {number!r}")
    return match[1], int(match[2]), int(match[3] or 0)


def read_claim(file: Path) -> Claim:
    """The CLAIM of a test module, read without importing it."""
    for node in ast.parse(file.read_text()).body:
        if (
            isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "CLAIM"
            and isinstance(node.value, ast.Call)
        ):
            fields = {word.arg or "": ast.literal_eval(word.value) for word in node.value.keywords}
            return Claim(**fields, test=f"tests/claims/{file.name}")
    raise ValueError(f"{file.name} has no CLAIM = dict(...)")


def claims(folder: Path = Path(__file__).parent) -> list[Claim]:
    return sorted(map(read_claim, folder.glob("test_claim_*.py")), key=lambda claim: order(claim.number))


def measurement_cells(records: list[dict]) -> list[str]:
    """measured, threshold and noise floor; several measurements of a claim share its row, in the order of the tests."""

    def column(name: str) -> str:
        return "<br>".join(escape(f"{record['label']}: {record[name]}".removeprefix(": ")) for record in records)

    return [column("measured"), column("threshold"), column("floor")]


def table(claims: list[Claim], records: dict[str, list[dict]]) -> str:
    """CLAIMS.md from the claims and the records of a run, keyed by test file."""
    silent = [claim.number for claim in claims if not records.get(claim.test)]
    if silent:
        raise ValueError(f"claims {', '.join(silent)} recorded no number in this run; CLAIMS.md is left as it was")
    rows = [[*claim.identity, *measurement_cells(records[claim.test])] for claim in claims]
    return HEADER + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def identities(text: str) -> list[list[str]]:
    """The part of each row of a written CLAIMS.md that does not depend on a run."""
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:7]] for row in rows]
