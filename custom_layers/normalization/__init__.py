"""Layers that normalize activations."""

from .unbiased_batch_normalization import UnbiasedBatchNormalization

__all__ = ["UnbiasedBatchNormalization"]
