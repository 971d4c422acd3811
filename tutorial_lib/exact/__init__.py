"""The exact answers (§4): soft values and J*, the best Gaussian steps, the tilted density, the frontier."""

from .frontier import Frontier, FrontierPoint
from .gaussian_optimum import GaussianOptimum
from .kernels import MomentMatched, sample_optimal
from .line import LineChain
from .soft_values import SoftValues
from .tilted_density import GridValues, Marginal, Tilt, TiltedDensity

__all__ = [
    "Frontier",
    "FrontierPoint",
    "GaussianOptimum",
    "GridValues",
    "LineChain",
    "Marginal",
    "MomentMatched",
    "SoftValues",
    "Tilt",
    "TiltedDensity",
    "sample_optimal",
]
