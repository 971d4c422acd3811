"""Rewards r(x_0): any callable [B, …] → [B] will do. Those of the worlds, learned ones, and how one is asked (§7)."""

from .known import compressed_size, disc, half_plane, ink, peak, symmetry
from .learned import FewLabels, ImageClassifier, log_probability
from .queries import QueryCounter, Reward, name_of, query, query_slope

__all__ = [
    "FewLabels",
    "ImageClassifier",
    "QueryCounter",
    "Reward",
    "compressed_size",
    "disc",
    "half_plane",
    "ink",
    "log_probability",
    "name_of",
    "peak",
    "query",
    "query_slope",
    "symmetry",
]
