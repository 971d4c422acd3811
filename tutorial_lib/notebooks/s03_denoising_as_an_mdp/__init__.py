"""notebooks/03_denoising_as_an_mdp.ipynb: stepping through an episode."""

from .view import play, still

__all__ = ["play", "still"]
