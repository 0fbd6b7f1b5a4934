"""Optimizers that step along gradients."""

from .ada_belief import AdaBelief
from .lars import LARS
from .rectified_adam import RectifiedAdam
from .schedule_free_adamw import ScheduleFreeAdamW
from .schedule_free_sgd import ScheduleFreeSGD
from .yogi import Yogi

__all__ = [
    "LARS",
    "AdaBelief",
    "RectifiedAdam",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
    "Yogi",
]
