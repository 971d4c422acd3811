"""Rewards r(x_0): any callable [B, …] → [B] will do. Those of the worlds, learned ones, and how one is asked (§7)."""

from . import preferences
from .known import compressed_size, disc, half_plane, ink, peak, symmetry
from .learned import FewLabels, ImageClassifier, PolynomialReward, fit_polynomial, log_probability
from .queries import QueryCounter, Reward, name_of, query, query_slope
from .uncertain import LearnedReward

__all__ = [
    "FewLabels",
    "ImageClassifier",
    "LearnedReward",
    "PolynomialReward",
    "QueryCounter",
    "Reward",
    "compressed_size",
    "disc",
    "fit_polynomial",
    "half_plane",
    "ink",
    "log_probability",
    "name_of",
    "peak",
    "preferences",
    "query",
    "query_slope",
    "symmetry",
]
