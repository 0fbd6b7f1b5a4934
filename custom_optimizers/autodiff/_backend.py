"""What the present backend differentiates and compiles with."""

import keras

if keras.config.backend() == "tensorflow":
    from ._tensorflow import (
        compiled,
        hessian_vector_product,
        is_eager,
        value_and_gradient,
    )
elif keras.config.backend() == "jax":
    from ._jax import (  # type: ignore[assignment]
        compiled,
        hessian_vector_product,
        is_eager,
        value_and_gradient,
    )
else:
    from ._torch import (  # type: ignore[assignment]
        compiled,
        hessian_vector_product,
        is_eager,
        value_and_gradient,
    )

__all__ = [
    "compiled",
    "hessian_vector_product",
    "is_eager",
    "value_and_gradient",
]
