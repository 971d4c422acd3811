"""The exact answers (§4): soft values and J*, the best Gaussian steps, the tilted density, the frontier."""

from .frontier import Frontier, FrontierPoint
from .gaussian_optimum import GaussianOptimum
from .soft_values import SoftValues
from .tilted_density import GridValues, Tilt, TiltedDensity

__all__ = ["Frontier", "FrontierPoint", "GaussianOptimum", "GridValues", "SoftValues", "Tilt", "TiltedDensity"]
