"""Guidance (§6.2, §8): samplers that steer p_pre and train nothing, and the values that they steer by."""

from . import classifier_free, sequential_monte_carlo, value_weighted, values

__all__ = ["classifier_free", "sequential_monte_carlo", "value_weighted", "values"]
