"""The widget and figures of notebooks/02_entropy_regularized_mdps.ipynb."""

from .view import play, still

__all__ = ["play", "still"]
