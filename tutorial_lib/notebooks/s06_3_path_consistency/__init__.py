"""notebooks/06_3_path_consistency.ipynb: whose paths a method learns from, and what each method costs."""

from .view import play, still

__all__ = ["play", "still"]
