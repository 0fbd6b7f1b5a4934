"""Optimizers around another one."""

from .adaptive_gradient_clipping import AdaptiveGradientClipping
from .gradient_centralization import GradientCentralization
from .gradient_noise import GradientNoise
from .lookahead import Lookahead
from .optimizer_wrapper import OptimizerWrapper
from .polyak_averaging import PolyakAveraging
from .proximal_l1 import ProximalL1

__all__ = [
    "AdaptiveGradientClipping",
    "GradientCentralization",
    "GradientNoise",
    "Lookahead",
    "OptimizerWrapper",
    "PolyakAveraging",
    "ProximalL1",
]
