"""The studies, figures and widget of notebooks/05_1_soft_ppo.ipynb."""

from .view import play, still

__all__ = ["play", "still"]
