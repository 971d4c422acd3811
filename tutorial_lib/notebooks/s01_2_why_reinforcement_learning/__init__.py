"""notebooks/01_2_why_reinforcement_learning.ipynb: data that stop at a reward cut, and what lies beyond."""

from .view import play, still

__all__ = ["play", "still"]
