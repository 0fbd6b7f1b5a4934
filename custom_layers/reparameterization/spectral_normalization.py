"""Spectral normalization: kernels whose largest singular value is 1."""

import numbers

import keras
from keras import ops

from .kernel_wrapper import KernelWrapper


@keras.saving.register_keras_serializable(package="keras_regimen")
class SpectralNormalization(KernelWrapper):
    """Calls a layer with its kernel divided by its spectral norm.

    Use it to bound a layer's Lipschitz constant, as in the discriminator of
    a GAN: `SpectralNormalization(keras.layers.Conv2D(64, 3))`. The kernel is
    taken as a matrix of units by what each of them sums over, and divided by
    sigma, an estimate of its largest singular value. Each training call
    improves the estimate by `power_iterations` steps of power iteration;
    inference uses the vector found so far.

    Unlike `keras.layers.SpectralNormalization`, the gradient flows through
    sigma, as in the paper's equation 12, and the stored kernel is never
    overwritten: it keeps its length, and inference without training divides
    too. Sigma is float32 whatever the policy. A kernel of zeros stays zero.

    Args:
        layer: The layer to wrap: one with a kernel, such as `Dense`, a
            convolution (transposed, depthwise, separable), a recurrent layer
            or an `Embedding`. Each of its kernels is divided by its own
            norm.
        power_iterations: Positive integer. Steps of power iteration at each
            training call. Default 1.
        **kwargs: Base layer arguments, such as `name`. The default `dtype`
            is the layer's own.

    Call arguments:
        inputs: What the layer takes.
        training: Boolean, handed on to the layer. If `True`, the estimate is
            improved.
        mask: Optional mask, handed on to the layer if it takes one.

    Returns:
        What the layer returns.

    Raises:
        ValueError: If `layer` has no kernel or is an RNN cell, or
            `power_iterations` is not a positive integer.

    Example:

    >>> dense = keras.layers.Dense(2, kernel_initializer="identity")
    >>> layer = SpectralNormalization(dense)
    >>> layer.build((None, 2))
    >>> _ = dense.kernel.assign(5 * keras.ops.eye(2))
    >>> round(float(layer(keras.ops.ones((1, 2)))[0, 0]), 4)
    1.0

    Reference:

    - Miyato, Kataoka, Koyama and Yoshida, "Spectral Normalization for
      Generative Adversarial Networks",
      [2018](https://arxiv.org/abs/1802.05957), algorithm 1. As in PyTorch,
      the vectors take 15 steps before training, and of the two we keep the
      one that lies among the inputs. For convolutions the matrix is that of
      the paper, not the convolution's own operator norm.
    """

    def __init__(
        self, layer: keras.layers.Layer, power_iterations: int = 1, **kwargs
    ):
        super().__init__(layer, **kwargs)
        if (
            not isinstance(power_iterations, numbers.Integral)
            or power_iterations < 1
        ):
            raise ValueError(
                "`power_iterations` must be a positive integer. "
                f"Received: power_iterations={power_iterations}"
            )
        self.power_iterations = int(power_iterations)

    def add_weights(self, kernels, input_shape):
        self.vectors = [
            self.add_weight(
                name=f"{kernel.name}_vector",
                shape=(kernel.fan_in,),
                initializer=lambda *_, kernel=kernel, **__: self._start(kernel),
                dtype=kernel.dtype,
                trainable=False,
                autocast=False,
                aggregation="mean",
            )
            for kernel in kernels
        ]

    def _start(self, kernel):
        # Any direction will do that no kernel is orthogonal to.
        normal = keras.initializers.RandomNormal(seed=0)
        start = normal((kernel.fan_in,), dtype=kernel.dtype)
        return self._iterate(self._matrix(kernel), start, 15)[1]

    def _matrix(self, kernel):
        """Returns the kernel with shape `(fan_in, units)`."""
        units = [
            axis
            for axis in range(len(kernel.shape))
            if axis not in kernel.fan_in_axes
        ]
        # In this order most kernels need no transpose.
        value = ops.transpose(kernel.value, (*kernel.fan_in_axes, *units))
        return ops.reshape(value, (kernel.fan_in, -1))

    def _iterate(self, matrix, vector, steps):
        """Returns the vectors of units and of inputs after some steps."""
        units = self._unit(ops.matmul(vector, matrix))
        for step in range(steps):
            if step:
                units = self._unit(ops.matmul(vector, matrix))
            vector = self._unit(ops.matmul(matrix, units))
        return units, vector

    def _unit(self, vector):
        return vector / ops.maximum(ops.norm(vector), 1e-12)

    def effective_kernels(self, kernels, training):
        steps = self.power_iterations if training else 0
        values = []
        for kernel, stored in zip(kernels, self.vectors, strict=True):
            matrix = self._matrix(kernel)
            units, inputs = self._iterate(
                ops.stop_gradient(matrix), ops.convert_to_tensor(stored), steps
            )
            if training:
                stored.assign(inputs)
            # With constant vectors, the gradient of sigma is their outer
            # product: exactly that of the largest singular value.
            sigma = ops.sum(units * ops.matmul(inputs, matrix))
            values.append(kernel.value / ops.maximum(sigma, 1e-12))
        return values

    def get_config(self):
        return {
            **super().get_config(),
            "power_iterations": self.power_iterations,
        }
