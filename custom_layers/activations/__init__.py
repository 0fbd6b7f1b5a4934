"""Activation functions that Keras lacks, as layers."""

from .concatenated_relu import ConcatenatedReLU
from .maxout import Maxout
from .randomized_relu import RandomizedReLU
from .squared_relu import SquaredReLU
from .thresholded_linear_unit import ThresholdedLinearUnit

__all__ = [
    "ConcatenatedReLU",
    "Maxout",
    "RandomizedReLU",
    "SquaredReLU",
    "ThresholdedLinearUnit",
]
