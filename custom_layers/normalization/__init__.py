"""Layers that normalize activations."""

from .batch_norm_lstm import BatchNormLSTM
from .batch_norm_lstm_cell import BatchNormLSTMCell
from .batch_renormalization import BatchRenormalization
from .filter_response_normalization import FilterResponseNormalization
from .ghost_batch_normalization import GhostBatchNormalization
from .layer_norm_lstm_cell import LayerNormLSTMCell
from .mean_only_batch_normalization import MeanOnlyBatchNormalization
from .unbiased_batch_normalization import UnbiasedBatchNormalization

__all__ = [
    "BatchNormLSTM",
    "BatchNormLSTMCell",
    "BatchRenormalization",
    "FilterResponseNormalization",
    "GhostBatchNormalization",
    "LayerNormLSTMCell",
    "MeanOnlyBatchNormalization",
    "UnbiasedBatchNormalization",
]
