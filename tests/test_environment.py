"""One environment, told three times: pyproject.toml, constraints.txt and environment.yml agree with what is here."""

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

import pytest
import rattler
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# conda-forge's name → pip's, where they differ
CONDA_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib", "seaborn-base": "seaborn"}
# Only torch's CUDA builds pull these in, at versions that torch fixes itself.
CUDA = re.compile(r"(nvidia|cuda|triton)\b")


def names(requirements: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def conda_names(text: str) -> set[str]:
    """pip's names of the packages in an environment.yml, without Python and pip."""
    specs = [rattler.MatchSpec(entry) for entry in yaml.safe_load(text)["dependencies"] if isinstance(entry, str)]
    found = {spec.name.normalized for spec in specs}
    return {CONDA_NAMES.get(name, name) for name in found} - {"python", "pip"}


def pins(text: str) -> dict[str, str]:
    """name → version of every line `name==version`; any other line is an error."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    matches = [re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)", line) for line in lines]
    wrong = [line for line, match in zip(lines, matches, strict=True) if match is None]
    assert not wrong, f"constraints.txt: expected name==version, got {wrong}"
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


def applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ["", *extras])


def closure(requirements: Iterable[str]) -> set[str]:
    """Every distribution that the requirements bring along, by the metadata of what is installed here."""
    todo = [Requirement(text) for text in requirements]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement = todo.pop()
        node = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if node not in seen:
            seen.add(node)
            children = map(Requirement, metadata.requires(requirement.name) or [])
            todo += [child for child in children if applies(child, requirement.extras)]
    return {name for name, _ in seen}


def requirers(unwanted: str, requirements: dict[str, list[str]]) -> list[str]:
    """The distributions with a requirement on `unwanted` that applies here without an extra."""
    return [
        name
        for name, texts in requirements.items()
        for requirement in map(Requirement, texts)
        if canonicalize_name(requirement.name) == unwanted and applies(requirement, [])
    ]


EVERYTHING = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
CONSTRAINTS = (ROOT / "constraints.txt").read_text()
ENVIRONMENT = (ROOT / "environment.yml").read_text()


def test_conda_and_pip_name_the_same_packages():
    assert conda_names(ENVIRONMENT) == names(PROJECT["dependencies"])


def test_conda_installs_the_project_itself_and_asks_for_the_same_python():
    entries = yaml.safe_load(ENVIRONMENT)["dependencies"]
    assert {"pip": ["-e ."]} in entries
    assert f"python{PROJECT['requires-python']}" in entries


def test_every_dependency_is_pinned_at_the_version_installed():
    pinned = pins(CONSTRAINTS)
    needed = {name for name in closure(EVERYTHING) if not CUDA.match(name)}
    installed = {name: Version(metadata.version(name)).public for name in needed}
    assert {name: pinned.get(name) for name in needed} == installed


def test_torch_is_the_version_that_was_measured():
    assert pins(CONSTRAINTS)["torch"] == "2.13.0"


def test_the_project_pins_nothing_twice():
    assert all(Requirement(text).specifier == "" for text in EVERYTHING), "versions belong in constraints.txt"


def test_nothing_requires_torchvision():
    installed = {dist.metadata["Name"]: dist.requires or [] for dist in metadata.distributions()}
    assert requirers("torchvision", installed) == []
    assert "torchvision" not in closure(EVERYTHING)


def test_the_checks_can_fail():
    assert requirers("torchvision", {"timm": ["torchvision>=0.1"], "kornia": ["torchvision; extra == 'x'"]}) == ["timm"]
    assert conda_names(ENVIRONMENT.replace("- scipy\n", "- sympy\n")) != names(PROJECT["dependencies"])
    with pytest.raises(AssertionError, match="expected name==version"):
        pins("torch @ https://example.org/torch.whl")
    with pytest.raises(AssertionError, match="expected name==version"):
        pins("numpy>=2")
