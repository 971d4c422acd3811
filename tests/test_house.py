"""How the library is built: who may import whom, and how long a file and a function may be.

A module imports only from floors below its own, or from files named before it on its own floor. The methods
(`algorithms/*`, `guidance/*`) share a floor and never import one another.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tutorial_lib"
FLOORS = [
    ["checks", "distributions", "schedules"],
    ["denoisers", "lora", "policies", "amortised", "training", "tuning"],
    ["rewards", "image_rewards", "mdp", "grids", "metrics", "diversity"],
    ["exact.chain", "exact.soft_values", "exact.*", "exact"],
    ["algorithms", "guidance", "algorithms.*", "guidance.*"],
    ["assets", "idx", "digit_data", "worlds", "tuned", "assets.ring", "assets.lora", "assets.digits", "assets.*"],
    [
        "plots",
        "widgets",
        "quiz",
        "views",
        "views.denoising_figures",
        "views.theory_figures",
        "views.digit_wall",
        "views.*",
    ],
]
PACKAGES = {"algorithms", "guidance", "assets", "exact", "views"}
MODULE_LINES, FUNCTION_LINES = 350, 60


def place(module: str) -> tuple[int, int] | None:
    """(floor, position on it) of a module named inside the package, such as `algorithms.soft_ppo`."""
    general = module.partition(".")[0] + ".*" if "." in module else module
    for floor, names in enumerate(FLOORS):
        for name in (module, general):
            if name in names:
                return floor, names.index(name)
    return None


def is_method(module: str) -> bool:
    return module.startswith(("algorithms.", "guidance."))


def may_import(module: str, other: str) -> bool:
    here, there = place(module), place(other)
    if here is None or there is None or (is_method(module) and is_method(other)):
        return False
    return there < here


def module_name(file: Path) -> str:
    """`algorithms/soft_ppo.py` → `algorithms.soft_ppo`; a package's `__init__.py` is the package."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(tree: ast.AST, module: str, modules: set[str]) -> set[str]:
    """Every module of the package that a source imports, at the top or inside a function."""
    parent = ["tutorial_lib", *module.split(".")]
    if module not in PACKAGES:
        parent.pop()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parent[: len(parent) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                deeper = f"{source}.{alias.name}"
                found.add(deeper if deeper.removeprefix("tutorial_lib.") in modules else source)
    inside = {name for name in found if name.split(".")[0] == "tutorial_lib"}
    return {name.removeprefix("tutorial_lib").removeprefix(".") for name in inside}


def import_offences(source: str, module: str, modules: set[str]) -> list[str]:
    if place(module) is None:
        return [f"{module} stands on no floor: add it to FLOORS"]
    others = sorted(imports(ast.parse(source), module, modules) - {module})
    return [f"{module} imports {other or 'the package'}" for other in others if not may_import(module, other)]


def length_offences(source: str, name: str) -> list[str]:
    offences = []
    if (lines := source.count("\n")) > MODULE_LINES:
        offences.append(f"{name} has {lines} lines, more than {MODULE_LINES}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            lines = len(source.splitlines()[node.lineno - 1 : node.end_lineno])
            if lines > FUNCTION_LINES:
                offences.append(f"{name}: {node.name} has {lines} lines, more than {FUNCTION_LINES}")
    return offences


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_name(file) for file in FILES}


def test_the_library_is_found():
    assert {"distributions", "schedules"} <= MODULES


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_a_module_imports_only_from_below(file):
    if module := module_name(file):  # the package's own __init__ may offer any of them
        assert import_offences(file.read_text(), module, MODULES) == []


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_files_and_functions_stay_short(file):
    assert length_offences(file.read_text(), module_name(file) or "__init__") == []


KNOWN = {"distributions", "schedules", "exact", "metrics", "algorithms", "guidance", "plots"} | {
    "algorithms.soft_ppo",
    "algorithms.path_consistency",
    "guidance.value_weighted",
}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("distributions", "from tutorial_lib.exact import SoftValues"),
        ("distributions", "from .schedules import NoiseSchedule"),
        ("distributions", "def f():\n    import tutorial_lib.plots"),
        ("metrics", "from tutorial_lib import exact"),
        ("metrics", "from tutorial_lib import device"),
        ("metrics", "from . import exact as e"),
        ("algorithms.soft_ppo", "from .path_consistency import loss"),
        ("algorithms.soft_ppo", "from tutorial_lib.guidance import value_weighted"),
        ("guidance.value_weighted", "from ..algorithms import soft_ppo"),
        ("algorithms", "from . import soft_ppo"),
        ("cellar", "import torch"),
    ],
)
def test_the_check_finds_a_forbidden_import(module, source):
    assert import_offences(source, module, KNOWN)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("schedules", "from .distributions import GaussianMixture\nimport torch"),
        ("exact", "from tutorial_lib.metrics import Report"),
        ("algorithms.soft_ppo", "from ..exact import SoftValues\nfrom . import Step"),
        ("plots", "from tutorial_lib.algorithms import soft_ppo"),
    ],
)
def test_the_check_lets_a_lawful_import_pass(module, source):
    assert import_offences(source, module, KNOWN) == []


def test_the_check_finds_what_is_too_long():
    function = "def f():\n" + "    x = 1\n" * FUNCTION_LINES
    assert length_offences(function, "m") == [f"m: f has {FUNCTION_LINES + 1} lines, more than {FUNCTION_LINES}"]
    assert length_offences("x = 1\n" * (MODULE_LINES + 1), "m")
    assert length_offences("x = 1\n" * MODULE_LINES, "m") == []
