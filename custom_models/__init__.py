"""Training methods, and ways to train a model you already have.

`fit_in_memory` trains on arrays as `model.fit` does, an epoch per compiled
call; `evaluate_in_memory` measures in between without leaving a trace, and
`why_plain_fit` says when neither is possible. `replace_layers` puts other
layers into a model and keeps its weights.
"""

from .evaluate_in_memory import evaluate_in_memory
from .fit_in_memory import fit_in_memory
from .full_batch_model import FullBatchModel
from .replace_layers import replace_layers
from .training_method import TrainingMethod
from .why_plain_fit import why_plain_fit

__all__ = [
    "FullBatchModel",
    "TrainingMethod",
    "evaluate_in_memory",
    "fit_in_memory",
    "replace_layers",
    "why_plain_fit",
]
