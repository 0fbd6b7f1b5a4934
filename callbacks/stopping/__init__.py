"""When to stop, which epoch to keep, and what to do with all data then."""

from .early_stopping import EarlyStopping
from .prechelt_stopping import PrecheltStopping
from .refit_on_all_data import Refit, refit_on_all_data

__all__ = ["EarlyStopping", "PrecheltStopping", "Refit", "refit_on_all_data"]
