"""notebooks/04_1_theory.ipynb: the marginals and their values, and particles on their way."""

from . import particles_view
from .view import play, still

__all__ = ["particles_view", "play", "still"]
