"""Metrics: J with its standard error, distances and their floor, variety, memory, a place on the frontier, tilt."""

from .distances import Compared, compare, energy_distance, sliced_wasserstein
from .diversity import (
    class_entropy,
    class_entropy_error,
    entropy,
    mean_distance,
    mean_distance_error,
    mode_shares,
    modes_covered,
)
from .memory import kept_bytes, peak_bytes, saved_bytes
from .pairs import Pairs, before_after, sorted_pairs
from .report import Report, evaluate, quiet_objective, rollout_with_kl
from .standing import Standing, policy_standing, standing, standings_table, weighted_standing
from .tilt import AppliedTilt, applied_tilt

__all__ = [
    "AppliedTilt",
    "Compared",
    "Pairs",
    "Report",
    "Standing",
    "applied_tilt",
    "before_after",
    "class_entropy",
    "class_entropy_error",
    "compare",
    "energy_distance",
    "entropy",
    "evaluate",
    "kept_bytes",
    "mean_distance",
    "mean_distance_error",
    "mode_shares",
    "modes_covered",
    "peak_bytes",
    "policy_standing",
    "quiet_objective",
    "rollout_with_kl",
    "saved_bytes",
    "sliced_wasserstein",
    "sorted_pairs",
    "standing",
    "standings_table",
    "weighted_standing",
]
