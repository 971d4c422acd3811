"""The shipped checkpoints are the ones in the manifest, small, and refused when they are not what they should be."""

import hashlib
import json
import pickle
import subprocess
import sys

import pytest
import torch

from tutorial_lib import assets, worlds
from tutorial_lib.assets.__main__ import RECIPES, command

MANIFEST = assets.manifest()


def test_the_manifest_names_every_asset_and_no_other_file_lies_there():
    assert set(MANIFEST) == set(RECIPES)
    shipped = {entry["file"] for entry in MANIFEST.values()} | {"manifest.json"}
    assert {file.name for file in assets.FOLDER.iterdir() if file.suffix not in ("", ".py")} == shipped


@pytest.mark.parametrize("name", MANIFEST)
def test_the_hash_and_the_recipe_are_those_of_the_file(name):
    entry = MANIFEST[name]
    content = (assets.FOLDER / entry["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert len(content) == entry["bytes"]
    assert entry["recipe"]["command"] == command(name)
    assert entry["recipe"] | RECIPES[name] == entry["recipe"], "the asset was made by another recipe: run `make assets`"


@pytest.mark.parametrize("name", [name for name in MANIFEST if name.startswith("digits_")])
def test_banks_and_adapters_come_from_the_shipped_denoiser(name):
    assert MANIFEST[name]["recipe"]["denoiser_sha256"] == MANIFEST["digits"]["sha256"]


def test_adapters_are_small_beside_their_network():
    found = [entry["bytes"] for name, entry in MANIFEST.items() if name.startswith("digits_lora_")]
    assert found and max(found) <= 0.12 * MANIFEST["digits"]["bytes"]


def test_the_rewards_are_those_of_the_shipped_classifier():
    assert MANIFEST["digits_rewards"]["recipe"]["classifier_sha256"] == MANIFEST["digit_classifier"]["sha256"]
    assert MANIFEST["digits_rewards"]["bytes"] <= 2e6 and MANIFEST["digit_classifier"]["bytes"] <= 100e3


def test_all_assets_together_are_small():
    size = sum(file.stat().st_size for file in assets.FOLDER.glob("*.*") if file.suffix != ".py")
    assert size <= 8e6
    assert MANIFEST["digits"]["bytes"] <= 1.2e6
    assert all(MANIFEST[name]["bytes"] <= 250e3 for name in worlds.SAMPLERS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
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


def test_the_manifest_is_plain_json():
    assert json.loads((assets.FOLDER / "manifest.json").read_text(encoding="utf-8")) == MANIFEST


def test_the_command_names_the_assets_it_knows():
    run = subprocess.run([sys.executable, "-m", "tutorial_lib.assets", "x"], capture_output=True, text=True)
    assert run.returncode == 2
    assert "unknown asset 'x'; known: two_moons, spiral, checkerboard, digits, digit_" in run.stderr
