"""Dropout as first published: the scaling happens at inference."""

import numbers

import keras
from keras import ops

from ..seed_generator import SeedGenerator


@keras.saving.register_keras_serializable(package="keras_regimen")
class StandardDropout(keras.layers.Layer):
    """Drops units while training and scales them at inference.

    Use it to reproduce results from the time before "inverted" dropout. Keras'
    `Dropout` multiplies the surviving units by `1 / (1 - rate)` while
    training and is the identity at inference. Here the survivors are left as
    they are, and at inference every unit is multiplied by `1 - rate`. Both
    keep the expected input of the next layer the same from training to
    inference; here that layer's weights grow larger by `1 / (1 - rate)`, to
    which learning rates, weight penalties and norm constraints respond. At
    rate 0 the layer is the identity. An input mask is passed on unchanged.

    Args:
        rate: Float in `[0, 1)`. The probability that a unit is dropped (the
            paper's p is the probability that it is kept). 0 turns the layer
            off.
        noise_shape: Optional tuple of positive integers or `None`, of the
            inputs' rank: the shape of the mask, broadcast to the inputs.
            `None` in it stands for the inputs' own size: `(None, 1, None)`
            drops a feature in all time steps of `(batch, time, features)`.
            Default `None`: each unit is drawn by itself.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of masks.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of any shape. The batch size may change between
            calls.
        training: Boolean. Units are dropped if it is `True`, and scaled
            otherwise.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `rate` is outside `[0, 1)`, `noise_shape` holds
            anything but positive integers and `None`, its rank is not the
            inputs', or `seed` is not an integer in `[0, 2**31)`.

    Example:

    >>> units = keras.ops.ones((1, 3))
    >>> float(StandardDropout(rate=0.25)(units, training=False)[0, 0])
    0.75

    Reference:

    - Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: A
      Simple Way to Prevent Neural Networks from Overfitting",
      [2014](https://jmlr.org/papers/v15/srivastava14a.html), JMLR 15,
      p. 1929-1958, section 4. The paper scales the outgoing weights at test
      time; we scale the units, which is the same product.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: tuple[int | None, ...] | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not (isinstance(rate, numbers.Real) and 0 <= rate < 1):
            raise ValueError(
                f"`rate` must be a probability in [0, 1). Received: rate={rate}"
            )
        if noise_shape is not None and not (
            isinstance(noise_shape, (tuple, list))
            and all(
                size is None or (isinstance(size, int) and size > 0)
                for size in noise_shape
            )
        ):
            raise ValueError(
                "`noise_shape` must be a tuple of positive integers or None, "
                "one for each axis of the inputs. "
                f"Received: noise_shape={noise_shape}"
            )
        self.rate = float(rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs, training=None):
        if self.rate == 0:
            return inputs
        if not training:
            return inputs * (1 - self.rate)
        # float32 whatever the policy: float16 has too few steps for a rate.
        noise = keras.random.uniform(
            self._mask_shape(inputs), dtype="float32", seed=self.seed_generator
        )
        # `where` rather than a product: 0 * inf would be NaN.
        return ops.where(noise >= self.rate, inputs, ops.zeros_like(inputs))

    def _mask_shape(self, inputs):
        # `ops.shape` and not `.shape`, whose batch size is `None` in a
        # compiled graph.
        shape = ops.shape(inputs)
        if self.noise_shape is None:
            return shape
        if len(self.noise_shape) != len(shape):
            raise ValueError(
                "`noise_shape` must have the rank of the inputs, "
                f"{len(shape)}. Received: noise_shape={self.noise_shape}"
            )
        return tuple(
            size if wanted is None else wanted
            for size, wanted in zip(shape, self.noise_shape, strict=True)
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "noise_shape": self.noise_shape,
            "seed": self.seed,
        }
