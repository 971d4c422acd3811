"""One policy for every α of a range, and how it is tuned: the only place where α is a range."""

from .adapters import AmortisedAdapters
from .control import AmortisedControl, AmortisedPolicy
from .family import ALPHAS, Family
from .fine_tune import fine_tune

__all__ = ["ALPHAS", "AmortisedAdapters", "AmortisedControl", "AmortisedPolicy", "Family", "fine_tune"]
