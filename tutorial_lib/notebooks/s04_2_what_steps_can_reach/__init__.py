"""notebooks/04_2_what_steps_can_reach.ipynb: a fixed x_T, and steps that must be Gaussian."""

from .view import play, still

__all__ = ["play", "still"]
