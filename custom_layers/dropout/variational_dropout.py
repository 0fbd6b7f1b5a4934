"""Variational dropout: a noise level learned for each weight."""

import numbers

import keras
from keras import ops

from ..reparameterization.kernel_wrapper import (
    LINEAR_LAYERS,
    KernelWrapper,
    replaced,
)
from ..seed_generator import SeedGenerator
from .penalty_scale import penalty_scale

# The approximation of the divergence, equation 14 of the paper.
K1, K2, K3 = 0.63576, 1.87320, 1.48695


@keras.saving.register_keras_serializable(package="keras_regimen")
class VariationalDropout(KernelWrapper):
    """Calls a layer whose weights are Gaussian, with learned variances.

    Use it to find out which weights are needed:
    `VariationalDropout(keras.layers.Dense(300), dataset_size=len(x_train))`.
    Each weight has a mean, the layer's own kernel, and a variance. While
    training, pre-activations are drawn from the Gaussian that follows (each
    sample and position by itself), and a penalty, added to the model's
    losses, drives variances up: the divergence from a log-uniform prior,
    divided by `dataset_size`. Weights whose variance exceeds their squared
    mean by far (log alpha above `threshold`) carry nothing but noise; at
    inference they are zero. `strip` returns a plain layer without them.

    From random weights the penalty can prune everything at once. Start from
    a trained layer, or train for a few epochs with a larger `dataset_size`.

    Args:
        layer: The layer to wrap: `Dense`, `EinsumDense` or a convolution
            (transposed and depthwise too, not separable).
        dataset_size: Positive integer. The number of training samples.
        precision: Positive float, the inverse variance of the observations'
            noise, if the model's loss is the mean squared error (of one
            output). Default `None`: the loss is a negative log-likelihood,
            such as cross-entropy.
        initial_log_variance: Float. The logarithm of the weights' variance at
            the start. Default -10.
        threshold: Float. Weights with log alpha, the logarithm of variance
            over squared mean, above it are zero at inference. Default 3.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of draws.
        **kwargs: Base layer arguments, such as `name`. The default `dtype`
            is the layer's own.

    Call arguments:
        inputs: Float tensor that the layer takes.
        training: Boolean. Noise is drawn if it is `True`, weights are pruned
            otherwise.
        mask: Optional mask, handed on to the next layer.

    Returns:
        What the layer returns.

    Raises:
        ValueError: If `layer` is of another kind or an argument outside its
            range.

    Example:

    >>> dense = keras.layers.Dense(2)
    >>> layer = VariationalDropout(dense, dataset_size=100)
    >>> layer.build((None, 3))
    >>> float(layer.sparsity)
    0.0
    >>> _ = layer.log_variance.assign(keras.ops.full((3, 2), 9.0))
    >>> float(layer.sparsity)
    1.0

    Reference:

    - Molchanov, Ashukha and Vetrov, "Variational Dropout Sparsifies Deep
      Neural Networks", [2017](https://arxiv.org/abs/1701.05369), sections 4.1
      to 4.4, with the local reparameterization of Kingma, Salimans and
      Welling, [2015](https://arxiv.org/abs/1506.02557). The authors' code
      clips log alpha; our divergence is stable without. Biases have neither
      noise nor penalty.
    """

    kernel_names = ("kernel",)

    def __init__(
        self,
        layer: keras.layers.Layer,
        dataset_size: int,
        precision: float | None = None,
        initial_log_variance: float = -10.0,
        threshold: float = 3.0,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(layer, **kwargs)
        if not isinstance(layer, LINEAR_LAYERS):
            raise ValueError(
                "`layer` must be Dense, EinsumDense or a convolution, whose "
                "pre-activations are linear in one kernel. "
                f"Received: layer={layer}"
            )
        for name, value in (
            ("initial_log_variance", initial_log_variance),
            ("threshold", threshold),
        ):
            if not (
                isinstance(value, numbers.Real)
                and -float("inf") < value < float("inf")
            ):
                raise ValueError(
                    f"`{name}` must be a finite number. "
                    f"Received: {name}={value}"
                )
        self.penalty_scale = penalty_scale(dataset_size, precision)
        self.dataset_size = int(dataset_size)
        self.precision = None if precision is None else float(precision)
        self.initial_log_variance = float(initial_log_variance)
        self.threshold = float(threshold)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def add_weights(self, kernels, input_shape):
        (kernel,) = kernels
        self.log_variance = self.add_weight(
            name="log_variance",
            shape=kernel.shape,
            initializer=keras.initializers.Constant(self.initial_log_variance),
            dtype=kernel.dtype,
            autocast=False,
        )

    @property
    def log_alpha(self):
        """Logarithm of variance over squared mean, of the kernel's shape."""
        squares = ops.square(self.kernels[0].value)
        return self.log_variance - ops.log(squares + 1e-8)

    @property
    def sparsity(self):
        """The share of weights that are zero at inference, a scalar."""
        pruned = self.log_alpha > self.threshold
        return ops.mean(ops.cast(pruned, self.log_variance.dtype))

    def effective_kernels(self, kernels, training):
        if training:
            return super().effective_kernels(kernels, training)
        value = kernels[0].value
        pruned = self.log_alpha > self.threshold
        return [ops.where(pruned, ops.zeros_like(value), value)]

    def call(self, inputs, training=None, mask=None, **kwargs):
        self.add_loss(self.penalty_scale * self._divergence())
        if not training:
            return super().call(inputs, training=training, mask=mask, **kwargs)
        noise = self._noise(inputs)
        activation = self.layer.activation or keras.activations.linear

        def noisy_activation(mean):
            return activation(mean + ops.cast(noise, mean.dtype))

        with replaced([(self.layer, "activation", noisy_activation)]):
            return super().call(inputs, training=training, mask=mask, **kwargs)

    def _divergence(self):
        # Equation 14, up to its sign; softplus(-x) is log(1 + 1 / alpha).
        log_alpha = self.log_alpha
        negative = K1 * ops.sigmoid(K2 + K3 * log_alpha) - K1
        return ops.sum(0.5 * ops.softplus(-log_alpha) - negative)

    def _noise(self, inputs):
        """Returns what the pre-activations deviate from their means by."""
        dtype = self.log_variance.dtype
        replacements = [
            (self.layer, self.kernels[0].attribute, ops.exp(self.log_variance)),
            (self.layer, "activation", None),
        ]
        if self.layer.bias is not None:
            zeros = ops.zeros(self.layer.bias.shape, dtype)
            replacements.append((self.layer, "bias", zeros))
        with replaced(replacements):
            # `call` past `__call__`, which would cast and add losses.
            variance = self.layer.call(ops.square(ops.cast(inputs, dtype)))
        # A root has no gradient at 0, where inputs and masks may lie.
        deviation = ops.sqrt(ops.maximum(variance, 1e-12))
        return deviation * keras.random.normal(
            ops.shape(variance), dtype=dtype, seed=self.seed_generator
        )

    def get_config(self):
        return {
            **super().get_config(),
            "dataset_size": self.dataset_size,
            "precision": self.precision,
            "initial_log_variance": self.initial_log_variance,
            "threshold": self.threshold,
            "seed": self.seed,
        }
