"""notebooks/01_1_diffusion_models.ipynb: a chain from noise to data, and the digits' (`digits_view`)."""

from .view import play, still

__all__ = ["play", "still"]
