"""Layers that drop units, weights or whole branches while training."""

from .standard_dropout import StandardDropout
from .stochastic_depth import StochasticDepth, linear_decay_rates

__all__ = ["StandardDropout", "StochasticDepth", "linear_decay_rates"]
