"""Layers and cells: dropout and its relatives, normalization."""

from .dropout import StandardDropout, StochasticDepth, linear_decay_rates
from .normalization import UnbiasedBatchNormalization
from .seed_generator import SeedGenerator

__all__ = [
    "SeedGenerator",
    "StandardDropout",
    "StochasticDepth",
    "UnbiasedBatchNormalization",
    "linear_decay_rates",
]
