"""A training step that may take more than one gradient, on each backend.

The only part of the training methods that knows which backend runs. It holds
tools for them, and nothing for models.
"""

from ._backend import TrainingStep as TrainingStep
from .differentiate import as_dense as as_dense
from .differentiate import differentiate as differentiate
from .differentiate import gradient_by_inputs as gradient_by_inputs
from .differentiate import share_of_replica as share_of_replica
from .differentiate import snapshot as snapshot
from .differentiate import sum_over_replicas as sum_over_replicas
from .differentiate import (
    vector_jacobian_products as vector_jacobian_products,
)
