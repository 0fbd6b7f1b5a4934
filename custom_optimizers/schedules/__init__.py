"""Learning rates over time."""

from .cyclical import Cyclical
from .one_cycle import OneCycle
from .step_decay import StepDecay
from .warm_up import WarmUp

__all__ = ["Cyclical", "OneCycle", "StepDecay", "WarmUp"]
