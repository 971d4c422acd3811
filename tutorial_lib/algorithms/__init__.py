"""Fine-tuning algorithms (§5, §6), one idea a file: a pure loss under its equation, and `fine_tune`, which trains."""

from . import direct_preference, path_consistency, reward_backprop, reward_weighted_mle, soft_ppo
from .loop import STEADY, Step, Training, minibatches, path_kl, run
from .values import ValueNetwork

__all__ = [
    "STEADY",
    "Step",
    "Training",
    "ValueNetwork",
    "direct_preference",
    "minibatches",
    "path_consistency",
    "path_kl",
    "reward_backprop",
    "reward_weighted_mle",
    "run",
    "soft_ppo",
]
