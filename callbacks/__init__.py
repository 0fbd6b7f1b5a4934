"""Callbacks: when to stop, which epoch to keep, and what changes meanwhile."""

from .activation_monitor import ActivationMonitor
from .anneal import Anneal
from .curvature_monitor import CurvatureMonitor
from .diagnose import Diagnosis, diagnose
from .early_stopping import EarlyStopping
from .fit_diagnosis import FitDiagnosis
from .gradient_monitor import GradientMonitor
from .learning_rate_decay import LearningRateDecay
from .learning_rate_finder import LearningRateFinder
from .magnitude_pruning import MagnitudePruning
from .polynomial_sparsity import PolynomialSparsity
from .prechelt_stopping import PrecheltStopping
from .reduce_lr_on_plateau import ReduceLROnPlateau
from .refit_on_all_data import Refit, refit_on_all_data
from .snapshot_ensemble import SnapshotEnsemble
from .stochastic_weight_averaging import StochasticWeightAveraging
from .swap_averaged_weights import SwapAveragedWeights
from .training_state import TrainingState

__all__ = [
    "ActivationMonitor",
    "Anneal",
    "CurvatureMonitor",
    "Diagnosis",
    "EarlyStopping",
    "FitDiagnosis",
    "GradientMonitor",
    "LearningRateDecay",
    "LearningRateFinder",
    "MagnitudePruning",
    "PolynomialSparsity",
    "PrecheltStopping",
    "ReduceLROnPlateau",
    "Refit",
    "SnapshotEnsemble",
    "StochasticWeightAveraging",
    "SwapAveragedWeights",
    "TrainingState",
    "diagnose",
    "refit_on_all_data",
]
