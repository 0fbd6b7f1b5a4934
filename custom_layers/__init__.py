"""Layers and cells: dropout and its relatives, normalization."""

from .activations import (
    ConcatenatedReLU,
    Maxout,
    RandomizedReLU,
    SquaredReLU,
    ThresholdedLinearUnit,
)
from .dropout import (
    ConcreteDropout,
    DropBlock1D,
    DropBlock2D,
    DropConnect,
    MonteCarloDropout,
    ScheduledDropout,
    StandardDropout,
    StochasticDepth,
    UncertainPrediction,
    VariationalDropout,
    ZoneoutCell,
    ZoneoutLSTM,
    linear_decay_rates,
    predict_with_uncertainty,
)
from .noise import AnnealedGaussianNoise, WeightNoise
from .normalization import (
    BatchNormLSTM,
    BatchNormLSTMCell,
    BatchRenormalization,
    FilterResponseNormalization,
    GhostBatchNormalization,
    LayerNormLSTMCell,
    MeanOnlyBatchNormalization,
    UnbiasedBatchNormalization,
)
from .reparameterization import (
    SpectralNormalization,
    WeightNormalization,
    WeightStandardization,
)
from .seed_generator import SeedGenerator
from .tying import TiedConv2DTranspose, TiedDense

__all__ = [
    "AnnealedGaussianNoise",
    "BatchNormLSTM",
    "BatchNormLSTMCell",
    "BatchRenormalization",
    "ConcatenatedReLU",
    "ConcreteDropout",
    "DropBlock1D",
    "DropBlock2D",
    "DropConnect",
    "FilterResponseNormalization",
    "GhostBatchNormalization",
    "LayerNormLSTMCell",
    "Maxout",
    "MeanOnlyBatchNormalization",
    "MonteCarloDropout",
    "RandomizedReLU",
    "ScheduledDropout",
    "SeedGenerator",
    "SpectralNormalization",
    "SquaredReLU",
    "StandardDropout",
    "StochasticDepth",
    "ThresholdedLinearUnit",
    "TiedConv2DTranspose",
    "TiedDense",
    "UnbiasedBatchNormalization",
    "UncertainPrediction",
    "VariationalDropout",
    "WeightNoise",
    "WeightNormalization",
    "WeightStandardization",
    "ZoneoutCell",
    "ZoneoutLSTM",
    "linear_decay_rates",
    "predict_with_uncertainty",
]
