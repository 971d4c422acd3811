"""How the library is built: who may import whom, what a package, a study and a view may hold, and how long things are.

A module imports only from floors below its own, or from files named before it on its own floor. The methods
(`algorithms/*`, `guidance/*`) share a floor and never import one another; nor do the notebooks' folders.
"""

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "tutorial_lib"
FLOORS = [
    ["checks", "distributions", "schedules", "mdp", "grids"],
    ["denoisers.prediction", "denoisers.exact", "denoisers.mlp", "denoisers.*", "denoisers"],
    ["policies.chain", "policies.rollouts", "policies.steered", "policies.retuned", "policies.*", "policies"],
    ["rewards.queries", "rewards.*", "rewards"],
    ["exact.chain", "exact.soft_values", "exact.*", "exact"],
    ["metrics.report", "metrics.distances", "metrics.diversity", "metrics.*", "metrics"],
    ["algorithms.loop", "algorithms.values", "algorithms.*", "algorithms", "guidance.values", "guidance.*", "guidance"],
    ["settings.offline", "settings.online", "settings.*", "settings"],
    ["amortised.family", "amortised.*", "amortised"],
    ["assets.loader", "assets"],
    ["worlds.world", "worlds.idx", "worlds.plane", "worlds.digits", "worlds.files", "worlds.*", "worlds"],
    [
        "recipes.ring",
        "recipes.adapters",
        "recipes.amortised_digits",
        "recipes.foreign_ppo",
        "recipes.whose_paths",
        "recipes.digits_ways",
        "recipes.soft_ppo_rows",
        "recipes.applied_tilts",
        "recipes.crowds",
        "recipes.weighted",
        "recipes.backprop",
        "recipes",
        "recipes.__main__",
    ],
    ["plots.maps", "plots.walls", "plots", "widgets", "quiz"],
    ["notebooks.*.study", "notebooks.*_study", "notebooks.*.figures", "notebooks.*.view", "notebooks.*", "notebooks"],
]
PACKAGES = {file.parent.relative_to(PACKAGE).as_posix().replace("/", ".") for file in PACKAGE.rglob("__init__.py")}
METHOD = re.compile(r"algorithms\.(?!loop$|values$)\w+|guidance\.(?!values$)\w+")
DRAWING = {"matplotlib", "ipywidgets", "IPython", "seaborn", "tutorial_lib.plots", "tutorial_lib.widgets"}
FOR_VIEWS = {"plots", "widgets", "quiz", "checks"}  # all of the library that a view may know, beside its own folder
MODULE_LINES, FUNCTION_LINES = 250, 30
# What is longer, and how long it may be: whole loops that one reads top to bottom, and tables of cases.
LONGER = {
    "distributions": 265,
    "mdp": 305,
    "algorithms.path_consistency: fine_tune": 61,
    "algorithms.direct_preference: fine_tune": 31,
    "recipes.foreign_ppo: fine_tune": 31,
    "algorithms.reward_backprop: fine_tune": 42,
    "algorithms.reward_weighted_mle: fine_tune": 49,
    "algorithms.soft_ppo: fine_tune": 58,
    "denoisers.pretraining: pretrain": 51,
    "distributions: tilt": 41,
    "exact.soft_values: __init__": 34,
    "guidance.sequential_monte_carlo: sample": 41,
    "guidance.values: _fit": 49,
    "mdp: grid_world": 40,
    "rewards.learned: train": 41,
    "settings.online: run": 49,
    "worlds.files: images": 33,
}


def place(module: str) -> tuple[int, int] | None:
    """(floor, position on it) of a module named inside the package, such as `algorithms.soft_ppo`."""
    places = [(names.index(name), floor, name) for floor, names in enumerate(FLOORS) for name in names]
    for position, floor, name in sorted(places, key=lambda found: "*" in found[2]):  # a name itself before a pattern
        if fnmatchcase(module, name):
            return floor, position
    return None


def notebook(module: str) -> str | None:
    """The notebook's folder that a module lies in."""
    parts = module.split(".")
    return parts[1] if parts[0] == "notebooks" and len(parts) > 1 else None


def may_import(module: str, other: str) -> bool:
    here, there = place(module), place(other)
    if here is None or there is None or (METHOD.fullmatch(module) and METHOD.fullmatch(other)):
        return False
    if notebook(other) and notebook(other) != notebook(module):
        return False
    if module in PACKAGES and other.startswith(f"{module}."):
        return True
    return there < here


def module_name(file: Path) -> str:
    """`algorithms/soft_ppo.py` → `algorithms.soft_ppo`; a package's `__init__.py` is the package."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(tree: ast.AST, module: str, modules: set[str]) -> set[str]:
    """Every module that a source imports, at the top or inside a function; the package's own as `tutorial_lib.….`"""
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
    return found


def inside(found: set[str]) -> list[str]:
    """The package's own modules among them, by their names in it."""
    own = {name for name in found if name.split(".")[0] == "tutorial_lib"}
    return sorted(name.removeprefix("tutorial_lib").removeprefix(".") for name in own)


def import_offences(source: str, module: str, modules: set[str]) -> list[str]:
    if place(module) is None:
        return [f"{module} stands on no floor: add it to FLOORS"]
    others = [other for other in inside(imports(ast.parse(source), module, modules)) if other != module]
    return [f"{module} imports {other or 'the package'}" for other in others if not may_import(module, other)]


def is_study(module: str) -> bool:
    return notebook(module) is not None and module.endswith(("study", ".bugs"))


def is_view(module: str) -> bool:
    return notebook(module) is not None and module not in PACKAGES and not is_study(module)


def role_offences(source: str, module: str, modules: set[str]) -> list[str]:
    """A study that draws, or a view that computes."""
    found = imports(ast.parse(source), module, modules)
    if is_study(module):
        drawing = sorted(name for name in found if any(f"{name}.".startswith(f"{tool}.") for tool in DRAWING))
        return [f"the study {module} imports {name}" for name in drawing]
    if is_view(module):
        own = f"notebooks.{notebook(module)}"
        foreign = [name for name in inside(found) if name.split(".")[0] not in FOR_VIEWS and not name.startswith(own)]
        return [f"the view {module} imports {name}" for name in foreign]
    return []


def package_offences(source: str, module: str) -> list[str]:
    """What an `__init__` holds beside its docstring, imports and the list of names that it hands on."""
    others = []
    for place, node in enumerate(ast.parse(source).body):
        docstring = place == 0 and isinstance(node, ast.Expr)
        named = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__all__", "__version__")
        if not (docstring or named or isinstance(node, ast.ImportFrom)):
            others.append(f"{module or 'tutorial_lib'}/__init__ holds {ast.unparse(node).splitlines()[0]}")
    return others


def length_offences(source: str, name: str) -> list[str]:
    offences = []
    if (lines := source.count("\n")) > (most := LONGER.get(name, MODULE_LINES)):
        offences.append(f"{name} has {lines} lines, more than {most}")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            lines = len(source.splitlines()[node.lineno - 1 : node.end_lineno])
            if lines > (most := LONGER.get(f"{name}: {node.name}", FUNCTION_LINES)):
                offences.append(f"{name}: {node.name} has {lines} lines, more than {most}")
    return offences


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_name(file) for file in FILES}


def test_the_library_is_found():
    assert {"distributions", "schedules", "notebooks.s00_start_here.study"} <= MODULES


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_a_module_imports_only_from_below(file):
    if module := module_name(file):  # the package's own __init__ may offer any of them
        assert import_offences(file.read_text(), module, MODULES) == []


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_files_and_functions_stay_short(file):
    assert length_offences(file.read_text(), module_name(file) or "__init__") == []


@pytest.mark.parametrize("file", [file for file in FILES if notebook(module_name(file))], ids=module_name)
def test_a_study_computes_and_a_view_draws(file):
    assert role_offences(file.read_text(), module_name(file), MODULES) == []


@pytest.mark.parametrize("file", [file for file in FILES if file.stem == "__init__"], ids=module_name)
def test_a_package_only_hands_names_on(file):
    assert package_offences(file.read_text(), module_name(file)) == []


def test_every_exception_is_needed():
    """An entry of LONGER that nothing is as long as any more has to go."""
    found = {}
    for file in FILES:
        source, name = file.read_text(), module_name(file)
        found[name] = source.count("\n")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                lines = len(source.splitlines()[node.lineno - 1 : node.end_lineno])
                found[f"{name}: {node.name}"] = max(lines, found.get(f"{name}: {node.name}", 0))
    usual = {name: FUNCTION_LINES if ":" in name else MODULE_LINES for name in LONGER}
    assert [name for name in LONGER if found.get(name, 0) <= usual[name]] == []


KNOWN = MODULES | {"notebooks.s00_start_here.study", "notebooks.s02_entropy_regularized_mdps.study"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("distributions", "from tutorial_lib.exact import SoftValues"),
        ("distributions", "from .schedules import NoiseSchedule"),
        ("distributions", "def f():\n    import tutorial_lib.plots"),
        ("metrics.report", "from tutorial_lib import algorithms"),
        ("metrics.report", "from tutorial_lib import device"),
        ("metrics.report", "from .. import algorithms as a"),
        ("algorithms.soft_ppo", "from .path_consistency import loss"),
        ("algorithms.soft_ppo", "from ..amortised import Family"),
        ("algorithms.soft_ppo", "from tutorial_lib.guidance import value_weighted"),
        ("guidance.value_weighted", "from ..algorithms import soft_ppo"),
        ("algorithms.loop", "from . import soft_ppo"),
        ("exact.frontier", "from ..metrics import Report"),
        ("notebooks.s00_start_here.study", "from .view import play"),
        ("notebooks.s00_start_here.view", "from ..s02_entropy_regularized_mdps.study import answer"),
        ("cellar", "import torch"),
    ],
)
def test_the_check_finds_a_forbidden_import(module, source):
    assert import_offences(source, module, KNOWN)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("schedules", "from .distributions import GaussianMixture\nimport torch"),
        ("metrics.standing", "from tutorial_lib.exact import Frontier\nfrom .report import Report"),
        ("algorithms", "from . import soft_ppo"),
        ("algorithms.soft_ppo", "from ..exact import SoftValues\nfrom .loop import Step"),
        ("guidance.values", "from ..algorithms import ValueNetwork"),
        ("plots.walls", "from tutorial_lib.metrics import Pairs"),
        ("notebooks.s00_start_here.view", "from .study import answer"),
    ],
)
def test_the_check_lets_a_lawful_import_pass(module, source):
    assert import_offences(source, module, KNOWN) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("notebooks.s00_start_here.study", "import matplotlib.pyplot as plt"),
        ("notebooks.s00_start_here.study", "import ipywidgets as ui"),
        ("notebooks.s00_start_here.digits_study", "from ... import plots"),
        ("notebooks.s00_start_here.view", "from ...algorithms import soft_ppo"),
        ("notebooks.s00_start_here.view", "def f():\n    from ...policies import rollout"),
        ("notebooks.s00_start_here.figures", "from ... import worlds"),
    ],
)
def test_the_check_finds_a_study_that_draws_and_a_view_that_computes(module, source):
    assert role_offences(source, module, KNOWN)


def test_the_check_lets_a_study_compute_and_a_view_draw():
    assert role_offences("import torch\nfrom ...exact import Tilt", "notebooks.s00_start_here.study", KNOWN) == []
    source = "import matplotlib\nfrom ... import plots\nfrom ...widgets import words\nfrom . import study"
    assert role_offences(source, "notebooks.s00_start_here.view", KNOWN) == []


def test_the_check_finds_what_a_package_must_not_hold():
    assert package_offences('"""Words."""\nfrom .loop import run\n\n__all__ = ["run"]\n', "algorithms") == []
    for more in ("import torch", "x = 1", "def f(): ...", "class A: ..."):
        assert package_offences(f'"""Words."""\n{more}\n', "algorithms")


def test_the_check_finds_what_is_too_long():
    function = "def f():\n" + "    x = 1\n" * FUNCTION_LINES
    assert length_offences(function, "m") == [f"m: f has {FUNCTION_LINES + 1} lines, more than {FUNCTION_LINES}"]
    assert length_offences("x = 1\n" * (MODULE_LINES + 1), "m")
    assert length_offences("x = 1\n" * MODULE_LINES, "m") == []
