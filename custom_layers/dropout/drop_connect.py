"""DropConnect: drop weights instead of units."""

import numbers

import keras
from keras import ops

from ..reparameterization.kernel_wrapper import INITIALIZERS, KernelWrapper
from ..seed_generator import SeedGenerator


@keras.saving.register_keras_serializable(package="keras_regimen")
class DropConnect(KernelWrapper):
    """Calls a layer with randomly chosen weights set to zero while training.

    Use it in place of dropout before a layer:
    `DropConnect(keras.layers.Dense(64), 0.5)`; or on the recurrent weights of
    an RNN, where dropping units at each step would erase its memory:
    `DropConnect(keras.layers.LSTM(64), 0.5, kernels=["recurrent_kernel"])`.
    While training, each weight is zero with probability `rate`, and the
    others are multiplied by `1 / (1 - rate)`, so that the expected
    pre-activation is that of inference, where the layer is called as it is.
    At rate 0 nothing happens. Biases are never dropped.

    Args:
        layer: The layer to wrap: one with a kernel, such as `Dense`, a
            convolution (transposed, depthwise, separable), a recurrent layer
            or an `Embedding`.
        rate: Float in `[0, 1)`. The probability that a weight is dropped.
        kernels: Optional list of the kernels to drop from, by name:
            `"kernel"`, `"recurrent_kernel"`, `"depthwise_kernel"`,
            `"pointwise_kernel"`, `"embeddings"`. Default `None`: all that
            the layer has.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of masks.
        **kwargs: Base layer arguments, such as `name`. The default `dtype`
            is the layer's own.

    Call arguments:
        inputs: What the layer takes.
        training: Boolean, handed on to the layer. Weights are dropped only if
            it is `True`.
        mask: Optional mask, handed on to the layer if it takes one.

    Returns:
        What the layer returns.

    Raises:
        ValueError: If `layer` has no such kernel or is an RNN cell, `rate` is
            outside `[0, 1)`, `kernels` names something else or `seed` is not
            an integer in `[0, 2**31)`.

    Example:

    >>> dense = keras.layers.Dense(1, kernel_initializer="ones")
    >>> layer = DropConnect(dense, rate=0.5)
    >>> float(layer(keras.ops.ones((1, 8)), training=True)[0, 0]) % 2
    0.0

    Reference:

    - Wan, Zeiler, Zhang, LeCun and Fergus, "Regularization of Neural
      Networks using DropConnect",
      [2013](https://proceedings.mlr.press/v28/wan13.html), ICML. The paper
      draws a mask for each example and samples pre-activations from a
      Gaussian at inference; we draw one for the batch (under `tf.distribute`,
      for each replica's part of it) and use the mean weights.
    - Merity, Keskar and Socher, "Regularizing and Optimizing LSTM Language
      Models", [2018](https://arxiv.org/abs/1708.02182), section 2: on
      recurrent weights, with one mask for the whole sequence, as here.
    """

    def __init__(
        self,
        layer: keras.layers.Layer,
        rate: float,
        kernels: list[str] | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        if kernels is not None and not (
            isinstance(kernels, (list, tuple))
            and kernels
            and all(name in tuple(INITIALIZERS) for name in kernels)
        ):
            raise ValueError(
                f"`kernels` must be a list of names out of "
                f"{', '.join(INITIALIZERS)}. Received: kernels={kernels}"
            )
        self.kernel_names = tuple(kernels or INITIALIZERS)
        super().__init__(layer, **kwargs)
        if not (isinstance(rate, numbers.Real) and 0 <= rate < 1):
            raise ValueError(
                f"`rate` must be a probability in [0, 1). Received: rate={rate}"
            )
        self.rate = float(rate)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def effective_kernels(self, kernels, training):
        if not training or self.rate == 0:
            return super().effective_kernels(kernels, training)
        return [self._dropped(kernel) for kernel in kernels]

    def _dropped(self, kernel):
        noise = keras.random.uniform(
            kernel.shape, dtype="float32", seed=self.seed_generator
        )
        scaled = kernel.value / (1 - self.rate)
        return ops.where(noise >= self.rate, scaled, ops.zeros_like(scaled))

    def get_config(self):
        named = self.kernel_names != tuple(INITIALIZERS)
        return {
            **super().get_config(),
            "rate": self.rate,
            "kernels": list(self.kernel_names) if named else None,
            "seed": self.seed,
        }
