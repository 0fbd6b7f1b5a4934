"""Closure optimizers, for full batches and small problems; line searches."""

from .backtracking_line_search import BacktrackingLineSearch
from .bfgs import BFGS
from .closure_optimizer import ClosureOptimizer, Minimum
from .lbfgs import LBFGS
from .newton import Newton
from .nonlinear_conjugate_gradient import NonlinearConjugateGradient
from .strong_wolfe import StrongWolfe
from .truncated_conjugate_gradient import truncated_conjugate_gradient

__all__ = [
    "BFGS",
    "LBFGS",
    "BacktrackingLineSearch",
    "ClosureOptimizer",
    "Minimum",
    "Newton",
    "NonlinearConjugateGradient",
    "StrongWolfe",
    "truncated_conjugate_gradient",
]
