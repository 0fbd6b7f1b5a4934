"""What the present backend takes training steps with."""

import keras

if keras.config.backend() == "tensorflow":
    from ._tensorflow import (
        TrainingStep,
        gradients,
        gradients_at,
        sum_over_replicas,
    )
elif keras.config.backend() == "jax":
    from ._jax import (  # type: ignore[assignment]
        TrainingStep,
        gradients,
        gradients_at,
        sum_over_replicas,
    )
else:
    from ._torch import (  # type: ignore[assignment]
        TrainingStep,
        gradients,
        gradients_at,
        sum_over_replicas,
    )

__all__ = ["TrainingStep", "gradients", "gradients_at", "sum_over_replicas"]
