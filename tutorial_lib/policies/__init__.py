"""Policies: the denoising chain as a thing that acts (§1.1, §3), pretrained or to be tuned, and its rollouts."""

from .chain import DenoisingPolicy, Policy, Recorded, Trajectory, log_ratio
from .fenced import Fenced
from .retuned import RetunedPolicy
from .rollouts import ddim, ddim_mean, glimpse, record, rollout, rollout_with
from .steered import Control, LateControl, SteeredPolicy, TunablePolicy, within_reach
from .tunable import WAYS, ImageControl, tunable

__all__ = [
    "WAYS",
    "Control",
    "DenoisingPolicy",
    "Fenced",
    "ImageControl",
    "LateControl",
    "Policy",
    "Recorded",
    "RetunedPolicy",
    "SteeredPolicy",
    "Trajectory",
    "TunablePolicy",
    "ddim",
    "ddim_mean",
    "glimpse",
    "log_ratio",
    "record",
    "rollout",
    "rollout_with",
    "tunable",
    "within_reach",
]
