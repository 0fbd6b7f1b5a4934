"""The randomized leaky rectifier."""

import numbers

import keras
from keras import ops

from ..seed_generator import SeedGenerator


@keras.saving.register_keras_serializable(package="keras_regimen")
class RandomizedReLU(keras.layers.Layer):
    """A leaky rectifier whose slope below zero is drawn anew for each value.

    Use it in place of ReLU on small data sets, where its noise keeps a
    network from overfitting. Positive values pass. While training, each
    negative value is multiplied by a slope of its own, uniform between `lower`
    and `upper`; at inference by the mean of the two, as in a
    `keras.layers.LeakyReLU` of that slope. With `lower` and `upper` equal
    nothing is random. An input mask is passed on unchanged.

    Args:
        lower: Float in `[0, 1]`. The smallest slope. Default 1/8.
        upper: Float in `[0, 1]`, at least `lower`. The largest slope. Default
            1/3.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of slopes.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of any shape. The batch size may change between
            calls.
        training: Boolean. Slopes are drawn only if it is `True`.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If not `0 <= lower <= upper <= 1`, or `seed` is not an
            integer in `[0, 2**31)`.

    Example:

    >>> layer = RandomizedReLU(lower=0.0, upper=0.5)
    >>> outputs = layer(np.array([-2.0, 3.0]), training=False)
    >>> [float(output) for output in outputs]
    [-0.5, 3.0]

    Reference:

    - Xu, Wang, Chen and Li, "Empirical Evaluation of Rectified Activations in
      Convolution Network", [2015](https://arxiv.org/abs/1505.00853), section
      2.4. The paper draws the inverse of the slope, uniform between 3 and 8,
      and divides by 5.5 at inference; we draw the slope, as PyTorch does,
      so that inference uses the mean of the slopes (0.229 and not 0.182).
    """

    def __init__(
        self,
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, slope in (("lower", lower), ("upper", upper)):
            if not (isinstance(slope, numbers.Real) and 0 <= slope <= 1):
                raise ValueError(
                    f"`{name}` must be a slope in [0, 1]. "
                    f"Received: {name}={slope}"
                )
        if lower > upper:
            raise ValueError(
                "`lower` must be at most `upper`. "
                f"Received: lower={lower}, upper={upper}"
            )
        self.lower = float(lower)
        self.upper = float(upper)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs, training=None):
        slope = (self.lower + self.upper) / 2
        if training and self.lower < self.upper:
            # float32 whatever the policy, then rounded once.
            slope = keras.random.uniform(
                ops.shape(inputs),
                self.lower,
                self.upper,
                dtype="float32",
                seed=self.seed_generator,
            )
        slope = ops.cast(slope, inputs.dtype)
        # The slope is picked, not the product: a gradient has one pass less
        # for each branch.
        return inputs * ops.where(inputs >= 0, ops.ones_like(slope), slope)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "lower": self.lower,
            "upper": self.upper,
            "seed": self.seed,
        }
