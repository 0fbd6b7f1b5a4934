"""Penalties and constraints on weights, and what attaches them."""

from .constraints import L1Ball, L2Ball, Simplex
from .penalties import (
    L2SP,
    GroupLasso,
    HoyerSquare,
    KLSparsity,
    Orthogonal,
    SoftWeightSharing,
)
from .regularize import regularize
from .tie import tie

__all__ = [
    "L2SP",
    "GroupLasso",
    "HoyerSquare",
    "KLSparsity",
    "L1Ball",
    "L2Ball",
    "Orthogonal",
    "Simplex",
    "SoftWeightSharing",
    "regularize",
    "tie",
]
