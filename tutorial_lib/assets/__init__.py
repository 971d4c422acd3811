"""The shipped checkpoints: safetensors files beside this module, and manifest.json, which says what each one must be.

    manifest[name] = {file, sha256, bytes, recipe: {command, data, seed, steps, …}}

A file is read only after its hash has been checked, and nothing is ever unpickled. `make assets` makes all of them.
"""

import hashlib
import json
from pathlib import Path

import safetensors.torch
from torch import Tensor

FOLDER = Path(__file__).parent
REMEDY = "restore it from version control, or make it again with `make assets`"


def manifest() -> dict[str, dict]:
    """What is shipped, by name; ValueError where manifest.json is missing or unreadable."""
    file = FOLDER / "manifest.json"
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as problem:
        raise ValueError(f"expected a readable JSON file {file}, got: {problem}; {REMEDY}") from None


def load(name: str) -> dict[str, Tensor]:
    """The tensors of one asset, on the CPU. ValueError for an unknown name and for a file that is not the one
    described in the manifest (damaged, or from elsewhere); FileNotFoundError where there is none."""
    known = manifest()
    if name not in known:
        raise ValueError(f"unknown asset {name!r}; known: {', '.join(known)}")
    file = FOLDER / known[name]["file"]
    if not file.is_file():
        raise FileNotFoundError(f"expected the asset {name!r} at {file}, found no file; {REMEDY}")
    content = file.read_bytes()
    expected, came = known[name]["sha256"], hashlib.sha256(content).hexdigest()
    if came != expected:
        raise ValueError(
            f"{file} is damaged or comes from elsewhere: expected {known[name]['bytes']} bytes with sha256 "
            f"{expected[:12]}…, got {len(content)} bytes with {came[:12]}…; it was not read; {REMEDY}"
        )
    return safetensors.torch.load(content)


def save(name: str, tensors: dict[str, Tensor], recipe: dict) -> Path:
    """Write an asset and its entry in the manifest; returns the file."""
    content = safetensors.torch.save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
    file = FOLDER / f"{name}.safetensors"
    file.write_bytes(content)
    entry = dict(file=file.name, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), recipe=recipe)
    entries = (manifest() if (FOLDER / "manifest.json").exists() else {}) | {name: entry}
    text = json.dumps(dict(sorted(entries.items())), indent=2, ensure_ascii=False)
    (FOLDER / "manifest.json").write_text(text + "\n", encoding="utf-8")
    return file
