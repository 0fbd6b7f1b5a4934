"""Layers that share the kernel of another layer."""

from .tied_conv2d_transpose import TiedConv2DTranspose
from .tied_dense import TiedDense

__all__ = ["TiedConv2DTranspose", "TiedDense"]
