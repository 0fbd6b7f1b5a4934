"""Exact projections, used as a layer's `kernel_constraint`."""

from .l1_ball import L1Ball
from .l2_ball import L2Ball
from .simplex import Simplex

__all__ = ["L1Ball", "L2Ball", "Simplex"]
