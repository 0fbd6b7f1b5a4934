"""What the present backend takes training steps with."""

import keras

if keras.config.backend() == "tensorflow":
    from ._tensorflow import (
        TrainingStep,
        as_dense,
        gradients,
        gradients_at,
        share_of_replica,
        sum_over_replicas,
        vector_jacobian_products,
    )
elif keras.config.backend() == "jax":
    from ._jax import (  # type: ignore[assignment]
        TrainingStep,
        as_dense,
        gradients,
        gradients_at,
        share_of_replica,
        sum_over_replicas,
        vector_jacobian_products,
    )
else:
    from ._torch import (  # type: ignore[assignment]
        TrainingStep,
        as_dense,
        gradients,
        gradients_at,
        share_of_replica,
        sum_over_replicas,
        vector_jacobian_products,
    )

__all__ = [
    "TrainingStep",
    "as_dense",
    "gradients",
    "gradients_at",
    "share_of_replica",
    "sum_over_replicas",
    "vector_jacobian_products",
]
