"""The studies, figures and widget of notebooks/05_2_reward_backpropagation.ipynb."""

from .view import play, still

__all__ = ["play", "still"]
