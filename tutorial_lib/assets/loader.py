"""The shipped checkpoints: safetensors files beside this module, and manifest.json, which says what each one must be.

    manifest[name] = {file, sha256, bytes, recipe: {command, data, seed, steps, …}}

A file is read only after its hash has been checked, and nothing is ever unpickled. `make assets` makes all of them.
Killed at any moment, `save` leaves what was there before or all that is new: the manifest is replaced between the
writing of `file.new` and its renaming to `file`, and `load` takes whichever of the two the manifest describes.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path, PureWindowsPath
from typing import Any

import safetensors.torch
from torch import Tensor

FOLDER = Path(__file__).parent
REMEDY = "restore it from version control, or make it again with `make assets`"
RESTORE = "restore it from version control, or delete it and run `make assets`"


def manifest() -> dict[str, dict]:
    """What is shipped, by name; ValueError where manifest.json is missing, unreadable or malformed."""
    file = FOLDER / "manifest.json"
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError) as problem:
        raise ValueError(f"expected a readable JSON file {file}, got: {problem}; {RESTORE}") from None
    if not isinstance(found, dict):
        raise ValueError(f"expected an object of entries in {file}, got {found!r:.80}; {RESTORE}")
    for name, entry in found.items():
        if fault := _fault(entry):
            raise ValueError(f"{file}: entry {name!r}: {fault}; {RESTORE}")
    return found


def load(name: str) -> dict[str, Tensor]:
    """The tensors of one asset, on the CPU. ValueError for an unknown name and for a file that is not the one
    described in the manifest (damaged, or from elsewhere); FileNotFoundError where there is none."""
    known = manifest()
    if name not in known:
        raise ValueError(f"unknown asset {name!r}; known: {', '.join(known)}")
    entry = known[name]
    file, expected = FOLDER / entry["file"], entry["sha256"]
    found = [content for place in (file, _new(file)) if (content := _content(place)) is not None]
    right = [content for content in found if _sha256(content) == expected]
    if right and len(right[0]) != entry["bytes"]:
        raise ValueError(
            f"{FOLDER / 'manifest.json'}: expected `bytes` of {name!r} to be {len(right[0])}, the size of the file "
            f"with its sha256, got {entry['bytes']}; {RESTORE}"
        )
    if right:
        return safetensors.torch.load(right[0])
    if not found:
        raise FileNotFoundError(f"expected the asset {name!r} at {file}, found no file; {REMEDY}")
    raise ValueError(
        f"{file} is damaged or comes from elsewhere: expected {entry['bytes']} bytes with sha256 {expected[:12]}…, "
        f"got {len(found[0])} bytes with {_sha256(found[0])[:12]}…; it was not read; {REMEDY}"
    )


def save(name: str, tensors: dict[str, Tensor], recipe: dict) -> Path:
    """Write an asset and its entry in the manifest, both or neither; returns the file.

    ValueError, with nothing written, for a name that is no file's and where the manifest is malformed.
    """
    file = FOLDER / f"{name}.safetensors"
    content = safetensors.torch.save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
    entry = dict(file=f"{name}.safetensors", sha256=_sha256(content), bytes=len(content), recipe=recipe)
    if fault := _fault(entry):
        raise ValueError(f"asset {name!r}: {fault}")
    entries = manifest() if (FOLDER / "manifest.json").exists() else {}
    text = json.dumps(dict(sorted((entries | {name: entry}).items())), indent=2, ensure_ascii=False)
    if name in entries:
        _finish(entries[name])
    _write(_new(file), content)
    _write(_new(FOLDER / "manifest.json"), f"{text}\n".encode())
    os.replace(_new(FOLDER / "manifest.json"), FOLDER / "manifest.json")
    os.replace(_new(file), file)
    return file


def _finish(entry: dict) -> None:
    """Rename the file of a `save` that was killed before it could, or the next one would write over it."""
    file = FOLDER / entry["file"]
    content = _content(_new(file))
    if content is not None and _sha256(content) == entry["sha256"]:
        os.replace(_new(file), file)


def _new(file: Path) -> Path:
    return file.with_name(f"{file.name}.new")


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as output:
        output.write(content)
        output.flush()
        os.fsync(output.fileno())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _plain_name(value: Any) -> bool:
    """Whether it names a file in the folder itself, on any system."""
    return isinstance(value, str) and value not in ("", "..") and value == PureWindowsPath(value).name


def _hexadecimal(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = dict(
    file=(_plain_name, "the name of a file in its folder"),
    sha256=(_hexadecimal, "64 hexadecimal digits"),
    bytes=(lambda value: type(value) is int and value >= 0, "a whole number ≥ 0"),
    recipe=(lambda value: isinstance(value, dict), "an object"),
)


def _fault(entry: Any) -> str | None:
    """What an entry of the manifest lacks, in words; None where its four fields are there, each of its kind."""
    if not isinstance(entry, dict):
        return f"expected an object with {', '.join(FIELDS)}, got {entry!r:.80}"
    for field, (right, kind) in FIELDS.items():
        if field not in entry or not right(entry[field]):
            came = f"{entry[field]!r:.80}" if field in entry else "none"
            return f"expected `{field}` to be {kind}, got {came}"
    return None
