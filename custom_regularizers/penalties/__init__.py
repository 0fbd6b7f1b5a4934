"""Penalties, used as a layer's `kernel_regularizer`, or on its activity."""

from .group_lasso import GroupLasso
from .hoyer_square import HoyerSquare
from .kl_sparsity import KLSparsity
from .l2_sp import L2SP
from .orthogonal import Orthogonal
from .soft_weight_sharing import SoftWeightSharing

__all__ = [
    "L2SP",
    "GroupLasso",
    "HoyerSquare",
    "KLSparsity",
    "Orthogonal",
    "SoftWeightSharing",
]
