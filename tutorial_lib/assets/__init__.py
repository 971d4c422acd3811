"""The shipped checkpoints, checked against their manifest before they are read."""

from .loader import load, manifest, save

__all__ = ["load", "manifest", "save"]
