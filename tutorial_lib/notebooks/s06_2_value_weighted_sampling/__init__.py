"""notebooks/06_2_value_weighted_sampling.ipynb: samplers that are steered, and samplers that choose."""

from .view import play, still

__all__ = ["play", "still"]
