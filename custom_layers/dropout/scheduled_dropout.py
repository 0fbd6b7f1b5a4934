"""Dropout whose rate may change while a model trains."""

import numbers

import keras
from keras import ops

from .standard_dropout import StandardDropout


@keras.saving.register_keras_serializable(package="keras_regimen")
class ScheduledDropout(StandardDropout):
    """Drops units at a rate that a callback may change while training.

    Use it in place of `keras.layers.Dropout` where the rate follows a
    schedule, such as one that starts at 0. In Keras the rate is a number that
    a compiled training step keeps for good (and `Dropout(0.0)` can never
    drop); here it is a variable: `layer.rate = 0.3` takes effect at the next
    step, also of a compiled one, and is saved with the weights. As in Keras'
    layer, the surviving units are multiplied by `1 / (1 - rate)` while
    training, and at inference the layer is the identity. At rate 0 it is the
    identity too, though it still draws a mask. An input mask is passed on
    unchanged.

    Args:
        rate: Float in `[0, 1)`. The probability that a unit is dropped, to
            begin with. 0 is where a schedule may start.
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
        training: Boolean. Units are dropped only if it is `True`.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `rate` is outside `[0, 1)` (when it is set later, too),
            `noise_shape` holds anything but positive integers and `None`, its
            rank is not the inputs', or `seed` is not an integer in
            `[0, 2**31)`.

    Example:

    >>> layer = ScheduledDropout(rate=0.0)
    >>> model = keras.Sequential([keras.layers.Dense(8), layer])
    >>> def ramp(epoch, logs):  # From 0 to 0.5 in ten epochs.
    ...     layer.rate = 0.5 * min(epoch / 10, 1)
    >>> callback = keras.callbacks.LambdaCallback(on_epoch_begin=ramp)
    >>> callback.on_epoch_begin(4, logs={})
    >>> round(float(layer.rate), 3)
    0.2

    Reference:

    - Morerio, Cavazza, Volpi, Vidal and Murino, "Curriculum Dropout",
      [2017](https://arxiv.org/abs/1703.06229), section 3. The paper raises
      the rate from 0 as `rate * (1 - exp(-gamma * step))`; here the schedule
      is the callback's.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: tuple[int | None, ...] | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        # The 2014 layer has the arguments and the masks; `call` differs.
        super().__init__(rate, noise_shape=noise_shape, seed=seed, **kwargs)
        self._initial_rate = float(rate)

    @property
    def rate(self):
        """The variable that holds the rate; it may be set to a number."""
        return self._rate

    @rate.setter
    def rate(self, rate):
        if not (isinstance(rate, numbers.Real) and 0 <= rate < 1):
            raise ValueError(
                f"`rate` must be a probability in [0, 1). Received: rate={rate}"
            )
        if hasattr(self, "_rate"):
            self._rate.assign(rate)
            return
        self._rate = self.add_weight(
            name="rate",
            shape=(),
            initializer=keras.initializers.Constant(float(rate)),
            # float32 whatever the policy: float16 has too few steps.
            dtype="float32",
            autocast=False,
            trainable=False,
        )

    def call(self, inputs, training=None):
        if not training:
            return inputs
        noise = keras.random.uniform(
            self._mask_shape(inputs), dtype="float32", seed=self.seed_generator
        )
        scaled = inputs / ops.cast(1 - self._rate, inputs.dtype)
        # `where` rather than a product: 0 * inf would be NaN.
        return ops.where(noise >= self._rate, scaled, ops.zeros_like(scaled))

    def get_config(self):
        return {**super().get_config(), "rate": self._initial_rate}
