"""Callbacks: when to stop training, and which epoch to keep."""

from .early_stopping import EarlyStopping
from .prechelt_stopping import PrecheltStopping

__all__ = ["EarlyStopping", "PrecheltStopping"]
