"""Errors that say what was expected and what came. Every public function checks its input through these."""

import math

import torch


def positive(name: str, value: float) -> float:
    """`value` as a float; ValueError unless it is a finite number above zero."""
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")
    return number


def not_negative(name: str, value: float) -> float:
    """`value` as a float; ValueError unless it is a finite number ≥ 0."""
    number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} must be a finite number ≥ 0, got {value!r}")
    return number


def whole(value: float) -> bool:
    """Whether a number is whole (True and NaN are not)."""
    return not isinstance(value, bool) and math.isfinite(value) and int(value) == value


def count(name: str, value: int, least: int = 1) -> int:
    """`value` as an int; ValueError unless it is a whole number of at least `least`."""
    if not whole(value) or value < least:
        raise ValueError(f"{name} must be a whole number ≥ {least}, got {value!r}")
    return int(value)


def finite(name: str, x: torch.Tensor) -> torch.Tensor:
    """`x`; ValueError naming the share of it that is NaN or infinite."""
    bad = ~torch.isfinite(x.detach())
    if bad.any():
        raise ValueError(f"{name} must be finite, got NaN or infinity in {bad.float().mean().item():.1%} of it")
    return x


def batch_of(name: str, x: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> torch.Tensor:
    """`x`; ValueError unless its trailing dimensions are `shape`, it has at least one before them, and the dtype."""
    if x.ndim <= len(shape) or tuple(x.shape[x.ndim - len(shape) :]) != shape:
        expected = ", ".join(["B", *map(str, shape)])
        raise ValueError(f"{name} must have shape [{expected}], got {list(x.shape)}")
    if dtype not in (None, x.dtype):
        raise ValueError(f"{name} must be of type {dtype}, as the weights are, got {x.dtype}")
    return x
