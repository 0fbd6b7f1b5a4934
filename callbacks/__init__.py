"""Callbacks: when to stop, which epoch to keep, and what changes meanwhile."""

from .anneal import Anneal
from .early_stopping import EarlyStopping
from .learning_rate_decay import LearningRateDecay
from .prechelt_stopping import PrecheltStopping
from .reduce_lr_on_plateau import ReduceLROnPlateau
from .refit_on_all_data import Refit, refit_on_all_data
from .swap_averaged_weights import SwapAveragedWeights

__all__ = [
    "Anneal",
    "EarlyStopping",
    "LearningRateDecay",
    "PrecheltStopping",
    "ReduceLROnPlateau",
    "Refit",
    "SwapAveragedWeights",
    "refit_on_all_data",
]
