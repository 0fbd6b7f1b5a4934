"""Weight standardization: kernels of mean 0 and variance 1 for each unit."""

import numbers

import keras
from keras import ops

from .kernel_wrapper import KernelWrapper


@keras.saving.register_keras_serializable(package="keras_regimen")
class WeightStandardization(KernelWrapper):
    """Calls a layer with a kernel standardized over each unit's inputs.

    Use it on the convolutions of a net with group normalization, where
    batches are too small for batch normalization:
    `WeightStandardization(keras.layers.Conv2D(64, 3))`. The weights of each
    output unit or channel get mean 0 and variance 1, in training and at
    inference. The gradient flows through mean and variance; the stored
    kernel, and penalties on it, stay as they are. Statistics are float32
    whatever the policy.

    Without a normalization layer after it, the variance of the outputs is
    that of the inputs times their number: the method needs one.

    Args:
        layer: The layer to wrap: one with a kernel, such as `Dense`, a
            convolution (transposed, depthwise, separable) or a recurrent
            layer.
        epsilon: Positive float. Added to the variance. Default 1e-5.
        **kwargs: Base layer arguments, such as `name`. The default `dtype`
            is the layer's own.

    Call arguments:
        inputs: What the layer takes.
        training: Boolean, handed on to the layer.
        mask: Optional mask, handed on to the layer if it takes one.

    Returns:
        What the layer returns.

    Raises:
        ValueError: If `layer` has no kernel or is an RNN cell, a unit has
            only one input (its standardized weight would always be 0), or
            `epsilon` is not positive.

    Example:

    >>> dense = keras.layers.Dense(1, use_bias=False)
    >>> layer = WeightStandardization(dense)
    >>> bool(abs(layer(keras.ops.ones((1, 4)))[0, 0]) < 1e-5)  # Mean 0.
    True

    Reference:

    - Qiao, Wang, Liu, Shen and Yuille, "Micro-Batch Training with
      Batch-Channel Normalization and Weight Standardization",
      [2019](https://arxiv.org/abs/1903.10520), equations 12 and 13. As
      there, the variance is the biased one and `epsilon` stands under the
      root; the authors' code divides by the unbiased deviation plus 1e-5.
    """

    kernel_names = (
        "kernel",
        "recurrent_kernel",
        "depthwise_kernel",
        "pointwise_kernel",
    )

    def __init__(
        self, layer: keras.layers.Layer, epsilon: float = 1e-5, **kwargs
    ):
        super().__init__(layer, **kwargs)
        if not (
            isinstance(epsilon, numbers.Real) and 0 < epsilon < float("inf")
        ):
            raise ValueError(
                "`epsilon` must be a positive number, such as 1e-5. "
                f"Received: epsilon={epsilon}"
            )
        self.epsilon = float(epsilon)

    def add_weights(self, kernels, input_shape):
        for kernel in kernels:
            if kernel.fan_in < 2:
                raise ValueError(
                    "Each unit of `layer` must have two inputs or more: a "
                    "single weight, standardized, is always 0. Received: "
                    f"layer={self.layer} with a {kernel.name} of shape "
                    f"{kernel.shape}"
                )

    def effective_kernels(self, kernels, training):
        return [
            self._standardized(kernel.value, kernel.fan_in_axes)
            for kernel in kernels
        ]

    def _standardized(self, value, axes):
        centered = value - ops.mean(value, axes, keepdims=True)
        variance = ops.mean(ops.square(centered), axes, keepdims=True)
        return centered * ops.rsqrt(variance + self.epsilon)

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
