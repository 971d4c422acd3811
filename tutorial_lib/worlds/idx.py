"""Images and labels in IDX files, the format of MNIST and Fashion-MNIST: read here, from disk, with clear errors.

A file is two zero bytes, a byte for the type (8: unsigned bytes), a byte for the number of dimensions, each dimension
as four bytes (big-endian), and then the data, the last dimension running fastest. It may be compressed with gzip.
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

UNSIGNED_BYTE = 8
GZIP = b"\x1f\x8b"


def read(path: str | os.PathLike) -> Tensor:
    """The array of one file, uint8. ValueError saying what is wrong with it; FileNotFoundError where there is none."""
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"expected an IDX file at {file}, found no file")
    content = file.read_bytes()
    if content[:2] == GZIP:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as problem:
            raise ValueError(f"{file} begins as a gzip file and cannot be decompressed: {problem}") from None
    if len(content) < 4 or content[:2] != b"\0\0" or not content[3]:
        raise ValueError(f"{file} is no IDX file: expected it to begin 00 00 08 and a rank, got {content[:4].hex(' ')}")
    if content[2] != UNSIGNED_BYTE:
        raise ValueError(f"{file} must hold unsigned bytes (type 0x08), got type 0x{content[2]:02x}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{file} is cut off inside its header: expected {start} bytes, got {len(content)}")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    if not math.prod(shape):
        raise ValueError(f"{file} must hold data, got an array of shape {list(shape)}")
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"{file} must hold {list(shape)} = {math.prod(shape):,} bytes of data, got {len(content) - start:,}"
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).copy()).reshape(shape)


def images(path: str | os.PathLike) -> Tensor:
    """Images [N, 1, H, W] in [−1, 1]."""
    found = read(path)
    if found.ndim != 3:
        raise ValueError(f"expected images [N, H, W] in {path}, got shape {list(found.shape)}")
    return found.unsqueeze(1).float() / 127.5 - 1


def labelled(path: str | os.PathLike, labels: str | os.PathLike) -> tuple[Tensor, Tensor]:
    """(images [N, 1, H, W] in [−1, 1], labels [N]) from two files; ValueError where their lengths differ."""
    found, classes = images(path), read(labels)
    if classes.shape != found.shape[:1]:
        raise ValueError(f"expected {len(found):,} labels for {path}, got shape {list(classes.shape)} in {labels}")
    return found, classes.long()
