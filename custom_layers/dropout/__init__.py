"""Layers that drop units, weights or whole branches while training."""

from .concrete_dropout import ConcreteDropout
from .drop_block import DropBlock1D, DropBlock2D
from .drop_connect import DropConnect
from .monte_carlo_dropout import MonteCarloDropout
from .predict_with_uncertainty import (
    UncertainPrediction,
    predict_with_uncertainty,
)
from .scheduled_dropout import ScheduledDropout
from .standard_dropout import StandardDropout
from .stochastic_depth import StochasticDepth, linear_decay_rates
from .variational_dropout import VariationalDropout
from .zoneout_cell import ZoneoutCell
from .zoneout_lstm import ZoneoutLSTM

__all__ = [
    "ConcreteDropout",
    "DropBlock1D",
    "DropBlock2D",
    "DropConnect",
    "MonteCarloDropout",
    "ScheduledDropout",
    "StandardDropout",
    "StochasticDepth",
    "UncertainPrediction",
    "VariationalDropout",
    "ZoneoutCell",
    "ZoneoutLSTM",
    "linear_decay_rates",
    "predict_with_uncertainty",
]
