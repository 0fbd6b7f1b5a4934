"""Layers that add noise to activations while training."""

from .annealed_gaussian_noise import AnnealedGaussianNoise
from .weight_noise import WeightNoise

__all__ = ["AnnealedGaussianNoise", "WeightNoise"]
