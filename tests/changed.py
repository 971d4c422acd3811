"""Which tests `make quick` runs: `python -m tests.changed` prints them, a path a line.

Always the CORE, which is quick and sees all of the library from outside. Then, for each file that differs from the last
commit or is new: a unit test itself; of a module, the unit tests of its own room that import it, or all of the room
where none does; of a notebook, the rules of notebooks; of what sets the project up, the tests of that. Claims, what
runs in a browser and whole notebooks are for `make test`.
"""

import ast
import subprocess
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
CORE = ("tests/test_house.py", "tests/test_imports.py", "tests/test_bad_input.py", "tests/test_grids.py")
SET_UP = {
    "Makefile": "tests/test_makefile.py",
    ".ci/alone.py": "tests/test_makefile.py",
    "pyproject.toml": "tests/test_environment.py",
    "constraints.txt": "tests/test_environment.py",
    "environment.yml": "tests/test_environment.py",
}
SLOW = ("tests/browser/", "tests/claims/")


def changed(root: Path = ROOT) -> list[str]:
    """Files that differ from the last commit, and new ones that git does not ignore; none outside a repository."""
    found: set[str] = set()
    for command in (["diff", "--name-only", "--relative", "HEAD"], ["ls-files", "--others", "--exclude-standard"]):
        told = subprocess.run(["git", *command, "-z"], cwd=root, capture_output=True, text=True)
        found.update(told.stdout.split("\0"))
    return sorted(found - {""})


def touching(path: str, root: Path = ROOT) -> list[str]:
    """The unit tests that touch one file, which may be gone, as paths in `root`."""
    file = PurePosixPath(path)
    if path in SET_UP:
        return [SET_UP[path]]
    if path.startswith("notebooks/"):
        return ["tests/notebooks/test_rules.py"]
    if path.startswith("tests/") and not path.startswith(SLOW):
        return [path] if file.name.startswith("test_") and (root / path).exists() else []
    if path.startswith("tutorial_lib/"):
        return of_module(file, root)
    return []


def of_module(file: PurePosixPath, root: Path = ROOT) -> list[str]:
    """The unit tests in the room of a file of the library that import it; all of the room where none does."""
    module = ".".join(part for part in file.relative_to("tutorial_lib").with_suffix("").parts if part != "__init__")
    *rooms, _ = file.relative_to("tutorial_lib").parts
    there = root.joinpath("tests", *rooms[:1])
    room = [test for test in sorted(there.glob("test_*.py")) if module]
    found = [test for test in room if module in imported(test, root)]
    if not found and rooms and rooms[0] != "notebooks":
        found = room
    return [test.relative_to(root).as_posix() for test in found]


def imported(test: Path, root: Path = ROOT) -> set[str]:
    """The library's modules whose names a test imports, such as `exact.chain`, be it from the package around them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(test.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(name.name.removeprefix("tutorial_lib.") for name in node.names)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tutorial_lib":
            package = (node.module or "").removeprefix("tutorial_lib").removeprefix(".")
            handed_on = names_handed_on(root / "tutorial_lib" / package.replace(".", "/") / "__init__.py")
            found.add(package)
            for name in node.names:
                found.add(f"{package}.{handed_on.get(name.name, name.name)}".removeprefix("."))
    return found


def names_handed_on(package: Path) -> dict[str, str]:
    """name → the module beside a package's `__init__` that it comes from."""
    if not package.exists():
        return {}
    imports = [node for node in ast.parse(package.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    return {name.asname or name.name: node.module for node in imports if node.module for name in node.names}


def chosen(paths: list[str], root: Path = ROOT) -> list[str]:
    """The core, and the tests of each path, each once."""
    return list(dict.fromkeys([*CORE, *(test for path in paths for test in touching(path, root))]))


if __name__ == "__main__":
    print("\n".join(chosen(changed())))
