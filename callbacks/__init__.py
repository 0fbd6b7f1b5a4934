"""Callbacks: when to stop, which epoch to keep, and what changes meanwhile."""

from .anneal import Anneal
from .averaging import (
    SnapshotEnsemble,
    StochasticWeightAveraging,
    SwapAveragedWeights,
)
from .learning_rate import (
    LearningRateDecay,
    LearningRateFinder,
    ReduceLROnPlateau,
)
from .magnitude_pruning import MagnitudePruning
from .monitors import (
    ActivationMonitor,
    CurvatureMonitor,
    Diagnosis,
    FitDiagnosis,
    GradientMonitor,
    diagnose,
)
from .polynomial_sparsity import PolynomialSparsity
from .resuming import TrainingState
from .stopping import (
    EarlyStopping,
    PrecheltStopping,
    Refit,
    refit_on_all_data,
)

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
