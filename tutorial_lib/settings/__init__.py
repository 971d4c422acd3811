"""Which reward one has (§7): a black box, labels from before, or labels as one goes; each takes any algorithm."""

from . import black_box, offline, online
from .black_box import BlackBox

__all__ = ["BlackBox", "black_box", "offline", "online"]
