"""Means of weights, and ensembles of the models of one training."""

from .snapshot_ensemble import SnapshotEnsemble
from .stochastic_weight_averaging import StochasticWeightAveraging
from .swap_averaged_weights import SwapAveragedWeights

__all__ = [
    "SnapshotEnsemble",
    "StochasticWeightAveraging",
    "SwapAveragedWeights",
]
