"""Wrappers that call a layer with another kernel than its own."""

from .spectral_normalization import SpectralNormalization
from .weight_normalization import WeightNormalization
from .weight_standardization import WeightStandardization

__all__ = [
    "SpectralNormalization",
    "WeightNormalization",
    "WeightStandardization",
]
