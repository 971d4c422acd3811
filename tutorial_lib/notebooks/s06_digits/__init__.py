"""The widgets and figures of notebooks/06_digits.ipynb."""

from .view import play, still

__all__ = ["play", "still"]
