"""The widget and figures of notebooks/06_1_reward_weighted_mle.ipynb."""

from .view import play, still

__all__ = ["play", "still"]
