"""The shipped files are the ones in the manifest, small, and made by the recipes that stand in it."""

import hashlib
import json
import subprocess
import sys

import pytest

from tutorial_lib import assets
from tutorial_lib.assets.loader import FOLDER
from tutorial_lib.recipes import amortised_digits, ring
from tutorial_lib.recipes.__main__ import RECIPES, command
from tutorial_lib.worlds.plane import SAMPLERS

MANIFEST = assets.manifest()
# The shipped families were tuned before a family was tuned member by member: the manifest keeps how, in the options of
# that time, and the recipe says how they would be made today.
FAMILIES = {*ring.RECIPES, *amortised_digits.RECIPES}
OPTIONS = {"options", "iterations", "n", "learning_rate"}


def test_the_manifest_names_every_asset_and_no_other_file_lies_there():
    assert set(MANIFEST) == set(RECIPES)
    shipped = {entry["file"] for entry in MANIFEST.values()} | {"manifest.json"}
    assert {file.name for file in FOLDER.iterdir() if file.suffix not in ("", ".py")} == shipped


@pytest.mark.parametrize("name", MANIFEST)
def test_the_hash_is_that_of_the_file(name):
    entry = MANIFEST[name]
    content = (FOLDER / entry["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == entry["sha256"] and len(content) == entry["bytes"]
    assert entry["recipe"]["command"] == command(name)


@pytest.mark.parametrize("name", [name for name in MANIFEST if name not in FAMILIES])
def test_the_recipe_is_that_of_the_file(name):
    recipe = MANIFEST[name]["recipe"]
    assert recipe | RECIPES[name] == recipe, "the asset was made by another recipe: run `make assets`"


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_familys_recipe_is_that_of_the_file_but_for_the_options(name):
    recipe = MANIFEST[name]["recipe"]
    lasting = {key: value for key, value in RECIPES[name].items() if key not in OPTIONS}
    assert lasting.keys() >= {"data", "algorithm", "seed"} and recipe | lasting == recipe
    assert recipe.keys() >= RECIPES[name].keys()


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
    size = sum(file.stat().st_size for file in FOLDER.glob("*.*") if file.suffix != ".py")
    assert size <= 8e6
    assert MANIFEST["digits"]["bytes"] <= 1.2e6
    assert all(MANIFEST[name]["bytes"] <= 250e3 for name in SAMPLERS)


def test_the_manifest_is_plain_json():
    assert json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8")) == MANIFEST


def test_the_command_names_the_assets_it_knows():
    run = subprocess.run([sys.executable, "-m", "tutorial_lib.recipes", "x"], capture_output=True, text=True)
    assert run.returncode == 2
    assert "unknown asset 'x'; known: two_moons, spiral, checkerboard, digits, digit_" in run.stderr
