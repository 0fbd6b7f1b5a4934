"""Gradients clipped by the size of the weights they move."""

from typing import Any

import keras
from keras import ops

from .._arguments import check_number
from .._state import dense
from .optimizer_wrapper import OptimizerWrapper


@keras.saving.register_keras_serializable(package="keras_regimen")
class AdaptiveGradientClipping(OptimizerWrapper):
    """Clips each unit's gradient to a share of the norm of its weights.

    Use it for deep networks without normalization, and with large batches or
    learning rates: what counts for stability is not how long a gradient is,
    but how long beside the weights. A unit is what one output is computed
    from, a column of a `Dense` kernel or a filter of a convolution; a bias or
    gain is one unit as a whole.

    Under `tf.distribute` each replica clips its share of the gradient, as with
    Keras' own `clipnorm`, which is not the same as clipping their sum.

    The paper leaves the last layer's gradients as they are; give that layer a
    plain optimizer in a `keras.optimizers.MultiOptimizer`.

    Args:
        inner_optimizer: A Keras optimizer, its name or its configuration. Not
            one that accumulates gradients: their mean is what would have to be
            clipped.
        clip_factor: Positive float (lambda in the paper). A gradient's norm is
            at most this share of its weights' norm. Smaller for larger
            batches, 0.01 to 0.16. A huge one equals the inner optimizer to the
            bit. Default 0.01.
        epsilon: Float of 0 or more. What the weights' norm counts at least, so
            that weights which are zero can move. Default 1e-3.
        name: Optional string. The optimizer's name.
        **kwargs: None: other arguments go to the inner optimizer.

    Raises:
        ValueError: If an argument is outside its range, or if the inner
            optimizer is refused.

    Example:

    >>> inner = keras.optimizers.SGD(1.0)
    >>> optimizer = AdaptiveGradientClipping(inner, clip_factor=0.1)
    >>> kernel = keras.Variable([[3.0, 1.0], [4.0, 0.0]])
    >>> gradient = keras.ops.array([[9.0, 0.0625], [0.0, 0.0]])
    >>> optimizer.apply([gradient], [kernel])
    >>> kernel.numpy().tolist()  # A column is a unit.
    [[2.5, 0.9375], [4.0, 0.0]]

    Reference:

    - Brock, De, Smith and Simonyan, "High-performance large-scale image
      recognition without normalization",
      [2021](https://arxiv.org/abs/2102.06171), section 4.1.
    """

    def __init__(
        self,
        inner_optimizer: Any,
        clip_factor: float = 0.01,
        epsilon: float = 1e-3,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(inner_optimizer, name=name, **kwargs)
        self.clip_factor = check_number(
            "clip_factor", clip_factor, open_low=True
        )
        self.epsilon = check_number("epsilon", epsilon)
        steps = self.innermost_optimizer.gradient_accumulation_steps
        if steps:
            raise ValueError(
                "`AdaptiveGradientClipping` comes before the inner optimizer "
                "accumulates gradients, and would clip each of them instead "
                "of their mean. Use larger batches. "
                f"Received: gradient_accumulation_steps={steps}"
            )

    def step(self, gradients, variables):
        gradients = [
            g if g is None else self._clipped(dense(g), v)
            for g, v in zip(gradients, variables, strict=True)
        ]
        super().step(gradients, variables)

    def _clipped(self, gradient, variable):
        dtype = keras.backend.standardize_dtype(variable.dtype)
        if dtype in ("bfloat16", "float16"):
            dtype = "float32"
        largest = ops.maximum(_unit_norms(variable, dtype), self.epsilon)
        # Gradients come scaled, and weights do not.
        largest = largest * self.clip_factor * (self.loss_scale_factor or 1.0)
        norms = _unit_norms(gradient, dtype)
        too_long = norms > largest
        # A zero divides nothing: it is never too long.
        shares = ops.where(too_long, largest / ops.where(too_long, norms, 1), 1)
        return gradient * ops.cast(shares, gradient.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "clip_factor": self.clip_factor,
            "epsilon": self.epsilon,
        }


def _unit_norms(tensor, dtype):
    rank = len(tensor.shape)
    axes = tuple(range(rank - 1 if rank > 1 else rank))
    squares = ops.square(ops.cast(tensor, dtype))
    return ops.sqrt(ops.sum(squares, axes, keepdims=True))
