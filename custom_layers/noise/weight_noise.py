"""Weight noise: Gaussian noise on a kernel at each training call."""

import numbers

import keras

from ..reparameterization.kernel_wrapper import KernelWrapper
from ..seed_generator import SeedGenerator


@keras.saving.register_keras_serializable(package="keras_regimen")
class WeightNoise(KernelWrapper):
    """Calls a layer with Gaussian noise on its kernel while training.

    Use it against overfitting of recurrent nets above all:
    `WeightNoise(keras.layers.LSTM(64), stddev=0.075)`. Each training call
    draws fresh noise for each weight, the same for the whole batch and, in a
    recurrent layer, for the whole sequence; inference uses the kernel as it
    is. The gradient is taken at the noisy kernel and moves the stored one.
    At `stddev=0` nothing happens. Biases get no noise.

    Args:
        layer: The layer to wrap: one with a kernel, such as `Dense`, a
            convolution (transposed, depthwise, separable), a recurrent layer
            or an `Embedding`.
        stddev: Float, 0 or more. The standard deviation of the noise; 0 turns
            it off.
        multiplicative: Boolean. If `True`, each weight w becomes
            `w * (1 + noise)`, so that the noise grows with the weight;
            otherwise (the default) `w + noise`.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of draws.
        **kwargs: Base layer arguments, such as `name`. The default `dtype`
            is the layer's own.

    Call arguments:
        inputs: What the layer takes.
        training: Boolean, handed on to the layer. Noise is drawn only if it
            is `True`.
        mask: Optional mask, handed on to the layer if it takes one.

    Returns:
        What the layer returns.

    Raises:
        ValueError: If `layer` has no kernel or is an RNN cell, `stddev` is
            negative or not finite, `multiplicative` is not a boolean or
            `seed` is not an integer in `[0, 2**31)`.

    Example:

    >>> dense = keras.layers.Dense(2, kernel_initializer="zeros")
    >>> layer = WeightNoise(dense, stddev=0.1)
    >>> inputs = keras.ops.ones((1, 3))
    >>> [bool(layer(inputs, training=t)[0, 0] == 0) for t in (True, False)]
    [False, True]

    Reference:

    - Graves, "Practical Variational Inference for Neural Networks",
      [2011](https://papers.nips.cc/paper/4329), NIPS 24, section 3.1, with a
      fixed instead of a learned deviation; there the noise is drawn for each
      training sequence, here for each batch (under `tf.distribute`, for each
      replica's part of it).
    - Jim, Giles and Horne, "An Analysis of Noise in Recurrent Neural
      Networks: Convergence and Generalization",
      [1996](https://doi.org/10.1109/72.548170), for additive and
      multiplicative noise.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        stddev: float,
        multiplicative: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(layer, **kwargs)
        if not (
            isinstance(stddev, numbers.Real) and 0 <= stddev < float("inf")
        ):
            raise ValueError(
                "`stddev` must be a finite number, 0 or more. "
                f"Received: stddev={stddev}"
            )
        if not isinstance(multiplicative, bool):
            raise ValueError(
                "`multiplicative` must be True or False. "
                f"Received: multiplicative={multiplicative}"
            )
        self.stddev = float(stddev)
        self.multiplicative = multiplicative
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def effective_kernels(self, kernels, training):
        if not training or self.stddev == 0:
            return super().effective_kernels(kernels, training)
        return [self._noisy(kernel) for kernel in kernels]

    def _noisy(self, kernel):
        noise = keras.random.normal(
            kernel.shape,
            stddev=self.stddev,
            dtype=kernel.dtype,
            seed=self.seed_generator,
        )
        value = kernel.value
        return value + (value * noise if self.multiplicative else noise)

    def get_config(self):
        return {
            **super().get_config(),
            "stddev": self.stddev,
            "multiplicative": self.multiplicative,
            "seed": self.seed,
        }
