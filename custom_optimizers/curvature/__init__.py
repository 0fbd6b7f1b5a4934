"""Curvature tools: what the second derivatives of a loss say."""

from .check_gradients import check_gradients
from .classify_critical_point import CriticalPoint, classify_critical_point
from .condition_number import condition_number
from .gradient_report import GradientReport, WeightCheck
from .hessian_eigenvalues import HessianEigenvalues, hessian_eigenvalues
from .hessian_vector_product import hessian_vector_product
from .lanczos import Tridiagonal, lanczos

__all__ = [
    "CriticalPoint",
    "GradientReport",
    "HessianEigenvalues",
    "Tridiagonal",
    "WeightCheck",
    "check_gradients",
    "classify_critical_point",
    "condition_number",
    "hessian_eigenvalues",
    "hessian_vector_product",
    "lanczos",
]
