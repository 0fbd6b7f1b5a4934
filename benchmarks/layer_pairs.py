"""Which built-in each layer is measured against, and how close it must come.

A wrapper's rival is its method written out by hand in the bare layer, so that
the bound is on what wrapping costs. Where a layer has no bound, its rival does
less than the method asks for, and the ratio is for information.
"""

import handwritten
import keras
from keras.layers import LSTM, BatchNormalization, Dense, Dropout, ReLU

from keras_regimen import custom_layers as ours

IMAGES, VECTORS, SEQUENCES = (128, 32, 32, 32), (128, 1024), (64, 32, 128)
# XLA draws slowly on a CPU: 4 million numbers take it three seconds.
SMALL_IMAGES, LONG_SEQUENCES = (32, 16, 16, 32), (32, 256, 32)
# The largest ratio for each kind; the rest of the layers have none.
BOUNDS = {"normalization": 1.15, "dropout": 1.15, "wrapper": 1.25, "LSTM": 2.5}


def dense():
    return Dense(1024)


def lstm():
    return LSTM(128, use_cudnn=False)


def tied():
    """Returns the layer that `TiedDense` takes its kernel from."""
    layer = dense()
    layer.build(VECTORS)
    return layer


# By kind and shape of the inputs: a layer's maker and its rival's.
TABLE = {
    ("normalization", IMAGES): {
        name: (getattr(ours, name), BatchNormalization)
        for name in (
            "BatchRenormalization",
            "FilterResponseNormalization",
            "MeanOnlyBatchNormalization",
            "UnbiasedBatchNormalization",
        )
    }
    | {
        "GhostBatchNormalization": (
            lambda: ours.GhostBatchNormalization(32),
            BatchNormalization,
        )
    },
    ("dropout", SMALL_IMAGES): {
        name: (
            lambda name=name: getattr(ours, name)(0.2),
            lambda: Dropout(0.2),
        )
        for name in (
            "DropBlock2D",
            "MonteCarloDropout",
            "ScheduledDropout",
            "StandardDropout",
            "StochasticDepth",
        )
    }
    | {
        "AnnealedGaussianNoise": (
            lambda: ours.AnnealedGaussianNoise(0.2),
            lambda: keras.layers.GaussianNoise(0.2),
        ),
        "RandomizedReLU": (ours.RandomizedReLU, lambda: Dropout(0.2)),
    },
    ("dropout", LONG_SEQUENCES): {
        "DropBlock1D": (lambda: ours.DropBlock1D(0.2), lambda: Dropout(0.2))
    },
    ("wrapper", VECTORS): {
        "ConcreteDropout": (
            lambda: ours.ConcreteDropout(dense(), 1000),
            lambda: handwritten.ConcreteDropped(1024),
        ),
        "DropConnect": (
            lambda: ours.DropConnect(dense(), 0.5),
            lambda: handwritten.DropConnected(1024),
        ),
        "SpectralNormalization": (
            lambda: ours.SpectralNormalization(dense()),
            lambda: handwritten.SpectrallyNormalized(1024),
        ),
        "VariationalDropout": (
            lambda: ours.VariationalDropout(dense(), 1000),
            lambda: handwritten.VariationallyDropped(1024),
        ),
        "WeightNoise": (
            lambda: ours.WeightNoise(dense(), 0.1),
            lambda: handwritten.NoisyWeights(1024),
        ),
        "WeightNormalization": (
            lambda: ours.WeightNormalization(dense()),
            lambda: handwritten.WeightNormalized(1024),
        ),
        "WeightStandardization": (
            lambda: ours.WeightStandardization(dense()),
            lambda: handwritten.WeightStandardized(1024),
        ),
    },
    ("LSTM", SEQUENCES): {
        "BatchNormLSTM": (lambda: ours.BatchNormLSTM(128, 32), lstm)
    },
    ("recurrent", SEQUENCES): {
        "LayerNormLSTMCell": (
            lambda: keras.layers.RNN(ours.LayerNormLSTMCell(128)),
            lstm,
        ),
        "ZoneoutCell": (
            lambda: keras.layers.RNN(
                ours.ZoneoutCell(keras.layers.LSTMCell(128), 0.1)
            ),
            lstm,
        ),
        "ZoneoutLSTM": (lambda: ours.ZoneoutLSTM(128), lstm),
    },
    ("activation", IMAGES): {
        "ConcatenatedReLU": (ours.ConcatenatedReLU, ReLU),
        "Maxout": (lambda: ours.Maxout(2), ReLU),
        "SquaredReLU": (ours.SquaredReLU, ReLU),
        "ThresholdedLinearUnit": (ours.ThresholdedLinearUnit, ReLU),
    },
    ("tied", VECTORS): {"TiedDense": (lambda: ours.TiedDense(tied()), dense)},
}
