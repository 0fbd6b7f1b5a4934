"""What finds a learning rate, and what changes it while training."""

from .learning_rate_decay import LearningRateDecay
from .learning_rate_finder import LearningRateFinder
from .reduce_lr_on_plateau import ReduceLROnPlateau

__all__ = ["LearningRateDecay", "LearningRateFinder", "ReduceLROnPlateau"]
