"""The widget and figures of notebooks/06_3_path_consistency.ipynb."""

from .view import play, still

__all__ = ["play", "still"]
