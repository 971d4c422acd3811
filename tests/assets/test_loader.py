"""Assets: what was saved is loaded, what is not as it should be is refused, and a killed save harms nothing."""

import json
import os
import pickle

import pytest
import torch

from tutorial_lib import assets
from tutorial_lib.assets import loader


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "FOLDER", tmp_path)
    assets.save("first", {"weight": torch.arange(6.0).reshape(2, 3)}, dict(seed=1))
    return tmp_path


def test_what_is_saved_is_loaded(folder):
    assets.save("second", {"images": torch.arange(4, dtype=torch.uint8)}, dict(seed=2))
    assert torch.equal(assets.load("first")["weight"], torch.arange(6.0).reshape(2, 3))
    assert assets.load("second")["images"].dtype == torch.uint8
    assert list(assets.manifest()) == ["first", "second"]


def test_a_damaged_file_is_refused(folder):
    file = folder / "first.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged or comes from elsewhere: expected .* got .*make assets"):
        assets.load("first")
    file.write_bytes(content[:10])
    with pytest.raises(ValueError, match=r"got 10 bytes"):
        assets.load("first")


class Trap:
    """A pickle that leaves a mark when it is opened."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


def test_a_foreign_file_is_refused_unopened(folder):
    mark = folder / "opened"
    (folder / "first.safetensors").write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(ValueError, match="it was not read"):
        assets.load("first")
    assert not mark.exists()


def test_a_missing_file_an_unknown_name_and_a_broken_manifest_are_named(folder):
    with pytest.raises(ValueError, match="unknown asset 'third'; known: first"):
        assets.load("third")
    (folder / "first.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"expected the asset 'first' at .*make assets"):
        assets.load("first")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"expected a readable JSON file .*make assets"):
        assets.load("first")
    (folder / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"expected a readable JSON file .*make assets"):
        assets.load("first")


HEX = "a" * 64
GOOD = dict(file="first.safetensors", sha256=HEX, bytes=9, recipe={})
KINDS = [
    ("file", "the name of a file in its folder"),
    ("sha256", "64 hexadecimal digits"),
    ("bytes", "a whole number ≥ 0"),
    ("recipe", "an object"),
]
WRONG: dict[str, list] = dict(
    file=[None, 7, "", ".", "..", "folder/", "a/b", "../first.safetensors", "/etc/passwd", "..\\first", "C:first"],
    sha256=[None, 10**63, HEX[1:], HEX + "a", HEX + "\n", HEX.upper(), "g" * 64],
    bytes=[None, -1, 9.0, "9", True, [9]],
    recipe=[None, "by hand", ["by hand"]],
)


def without(field):
    return {key: value for key, value in GOOD.items() if key != field}


MALFORMED = [
    (3, "manifest.json, got 3;"),
    (None, "manifest.json, got None;"),
    ([GOOD], "manifest.json, got [{'file'"),
    ("first", "manifest.json, got 'first';"),
    ({"first": GOOD, "second": 3}, "'second': expected an object with file, sha256, bytes, recipe, got 3;"),
    ({"first": None}, "'first': expected an object with file, sha256, bytes, recipe, got None;"),
    *[({"first": without(field)}, f"'first': expected `{field}` to be {kind}, got none;") for field, kind in KINDS],
    *[
        ({"first": GOOD | {field: value}}, f"'first': expected `{field}` to be {kind}, got {value!r};")
        for field, kind in KINDS
        for value in WRONG[field]
    ],
]


@pytest.mark.parametrize(("content", "message"), MALFORMED)
def test_a_malformed_manifest_is_refused_before_anything_is_written(folder, content, message):
    (folder / "manifest.json").write_text(json.dumps(content))
    before = contents(folder)
    calls = (assets.manifest, lambda: assets.load("first"), lambda: assets.save("second", {"x": torch.ones(2)}, {}))
    for call in calls:
        with pytest.raises(ValueError, match="delete it and run `make assets`") as refusal:
            call()
        assert message in str(refusal.value) and str(folder / "manifest.json") in str(refusal.value)
        assert contents(folder) == before


def test_a_manifest_with_another_size_for_the_right_file_is_told_from_a_damaged_file(folder):
    entries = assets.manifest()
    size = entries["first"]["bytes"]
    entries["first"]["bytes"] = size + 1
    (folder / "manifest.json").write_text(json.dumps(entries))
    with pytest.raises(
        ValueError, match=rf"manifest.json: expected `bytes` of 'first' to be {size}, .* got {size + 1};"
    ):
        assets.load("first")


@pytest.mark.parametrize("name", ["../second", "folder/second", "C:second", "..\\second"])
def test_a_name_that_leads_out_of_the_folder_is_not_saved(folder, name):
    before = contents(folder)
    with pytest.raises(ValueError, match="expected `file` to be the name of a file in its folder"):
        assets.save(name, {"x": torch.ones(2)}, {})
    assert contents(folder) == before


def test_a_recipe_that_is_no_json_is_refused_before_anything_is_written(folder):
    before = contents(folder)
    with pytest.raises(TypeError, match="not JSON serializable"):
        assets.save("first", {"x": torch.ones(2)}, dict(seed=torch.tensor(1)))
    assert contents(folder) == before


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


class Killed(BaseException):
    """What no handler of ours catches."""


class Scissors:
    """Kills at the nth step to the disk: a write is cut off in its middle, a renaming does not come to pass."""

    def __init__(self, at, monkeypatch):
        self.at, self.steps = at, 0
        sync, replace = os.fsync, os.replace
        monkeypatch.setattr(loader.os, "fsync", lambda file: sync(file) if self.passes() else self.cut(file))
        monkeypatch.setattr(loader.os, "replace", lambda *files: replace(*files) if self.passes() else self.kill())

    def passes(self):
        self.steps += 1
        return self.steps != self.at

    def cut(self, file):
        os.ftruncate(file, os.fstat(file).st_size // 2)
        self.kill()

    def kill(self):
        raise Killed


def save_and_be_killed(value, at):
    """Save `first` anew, killed at a step; whether it was."""
    with pytest.MonkeyPatch.context() as patch:
        scissors = Scissors(at, patch)
        try:
            assets.save("first", {"weight": torch.full((2, 3), value)}, dict(seed=value))
        except Killed:
            return True
    assert scissors.steps < at
    return False


def found(name):
    """The value an asset is full of, and the seed beside it in the manifest: they must agree."""
    (weight,) = assets.load(name).values()
    assert (weight == weight[0, 0]).all()
    return float(weight[0, 0]), assets.manifest()[name]["recipe"]["seed"]


STEPS = 4  # two writes, two renamings


@pytest.fixture
def two(folder):
    for name in ("first", "second"):
        assets.save(name, {"weight": torch.zeros(2, 3)}, dict(seed=0))
    return folder


def test_a_save_has_as_many_steps_as_are_cut_off_below(two):
    assert not save_and_be_killed(1.0, STEPS + 1)
    assert save_and_be_killed(2.0, STEPS) and found("first") == (2.0, 2.0)


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_killed_at_any_step_the_old_state_or_the_new_one_stands_and_a_rerun_finishes(two, at):
    assert save_and_be_killed(1.0, at)
    assert found("first") in [(0.0, 0.0), (1.0, 1.0)]
    assert found("second") == (0.0, 0)
    assets.save("first", {"weight": torch.full((2, 3), 1.0)}, dict(seed=1.0))
    assert found("first") == (1.0, 1.0) and found("second") == (0.0, 0)
    assert sorted(contents(two)) == ["first.safetensors", "manifest.json", "second.safetensors"]


@pytest.mark.parametrize("again", range(1, STEPS + 2))
@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_killed_twice_with_other_weights_one_of_the_three_states_stands(two, at, again):
    save_and_be_killed(1.0, at)
    save_and_be_killed(2.0, again)
    assert found("first") in [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]
    assert found("second") == (0.0, 0)


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_killed_at_its_first_save_an_asset_is_unknown_or_whole(two, at):
    (two / "first.safetensors").unlink()
    (two / "manifest.json").write_text(json.dumps({"second": assets.manifest()["second"]}))
    save_and_be_killed(1.0, at)
    if "first" in assets.manifest():
        assert found("first") == (1.0, 1.0)
    assert found("second") == (0.0, 0)
