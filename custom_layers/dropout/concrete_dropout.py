"""Concrete dropout: dropout whose rate is learned."""

import math
import numbers

import keras
from keras import ops

from ..reparameterization.kernel_wrapper import LINEAR_LAYERS, KernelWrapper
from ..seed_generator import SeedGenerator
from .penalty_scale import penalty_scale


@keras.saving.register_keras_serializable(package="keras_regimen")
class ConcreteDropout(KernelWrapper):
    """Drops the inputs of a layer at a rate that is learned with its weights.

    Use it in place of dropout before a layer where no grid search over rates
    is affordable, or for calibrated uncertainty:
    `ConcreteDropout(keras.layers.Dense(64), dataset_size=len(x_train))`.
    While training, each sample's features are multiplied by soft zeros and
    ones, through which the rate has a gradient; at inference the layer is
    called as it is. A penalty, added to the model's losses, keeps the rate
    from collapsing to 0: the divergence from the prior, divided by
    `dataset_size`. So the rate falls as the data grows.

    A feature is dropped for a sample as a whole: in all positions of an image
    or time steps of a sequence, since it is the layer's weights that are
    dropped.

    Args:
        layer: The layer to wrap: `Dense` or a convolution (transposed and
            depthwise too, not separable).
        dataset_size: Positive integer. The number of training samples.
        length_scale: Float, 0 or more. The prior's length scale l, its weight
            decay before division by `dataset_size` being l² / 2; 0 means
            none. Default 1e-4, the authors' value.
        precision: Positive float, the inverse variance of the observations'
            noise, if the model's loss is the mean squared error (of one
            output). Default `None`: the loss is a negative log-likelihood,
            such as cross-entropy.
        initial_rate: Float in `(0, 1)`. The rate at the start. Default 0.1.
        temperature: Positive float. The softness of the zeros and ones.
            Default 0.1.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of draws.
        **kwargs: Base layer arguments, such as `name`. The default `dtype`
            is the layer's own.

    Call arguments:
        inputs: Float tensor that the layer takes.
        training: Boolean. Features are dropped only if it is `True`.
        mask: Optional mask, handed on to the next layer.

    Returns:
        What the layer returns.

    Raises:
        ValueError: If `layer` is of another kind or an argument outside its
            range.

    Example:

    >>> dense = keras.layers.Dense(2)
    >>> layer = ConcreteDropout(dense, dataset_size=100, initial_rate=0.25)
    >>> outputs = layer(keras.ops.ones((4, 3)), training=True)
    >>> tuple(outputs.shape), len(layer.losses)
    ((4, 2), 1)
    >>> round(float(layer.rate), 2)
    0.25

    Reference:

    - Gal, Hron and Kendall, "Concrete Dropout",
      [2017](https://arxiv.org/abs/1705.07832), equations 2 to 5. As in the
      authors' code, the penalty's weights are those before the division by
      the keep probability, and biases have no penalty. Their code takes the
      penalty's two factors; we derive them from `dataset_size`,
      `length_scale` and `precision`, and for Dense on sequences we draw once
      for a sample, not at each step.
    """

    kernel_names = ("kernel",)

    def __init__(
        self,
        layer: keras.layers.Layer,
        dataset_size: int,
        length_scale: float = 1e-4,
        precision: float | None = None,
        initial_rate: float = 0.1,
        temperature: float = 0.1,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(layer, **kwargs)
        if isinstance(layer, keras.layers.EinsumDense) or not isinstance(
            layer, LINEAR_LAYERS
        ):
            raise ValueError(
                "`layer` must be Dense or a convolution, whose inputs have "
                f"one axis of features. Received: layer={layer}"
            )
        if not (
            isinstance(length_scale, numbers.Real)
            and 0 <= length_scale < float("inf")
        ):
            raise ValueError(
                "`length_scale` must be a finite number, 0 or more. "
                f"Received: length_scale={length_scale}"
            )
        if not (
            isinstance(initial_rate, numbers.Real) and 0 < initial_rate < 1
        ):
            raise ValueError(
                "`initial_rate` must be a probability in (0, 1), without its "
                "ends, which no training leaves. "
                f"Received: initial_rate={initial_rate}"
            )
        if not (
            isinstance(temperature, numbers.Real)
            and 0 < temperature < float("inf")
        ):
            raise ValueError(
                "`temperature` must be a positive number, such as 0.1. "
                f"Received: temperature={temperature}"
            )
        self.penalty_scale = penalty_scale(dataset_size, precision)
        self.dataset_size = int(dataset_size)
        self.length_scale = float(length_scale)
        self.precision = None if precision is None else float(precision)
        self.initial_rate = float(initial_rate)
        self.temperature = float(temperature)
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def add_weights(self, kernels, input_shape):
        self.num_features = input_shape[self._feature_axis]
        logit = math.log(self.initial_rate / (1 - self.initial_rate))
        self.rate_logit = self.add_weight(
            name="rate_logit",
            initializer=keras.initializers.Constant(logit),
            dtype=kernels[0].dtype,
            autocast=False,
        )

    @property
    def rate(self):
        """The rate as it is now, a scalar tensor."""
        return ops.sigmoid(self.rate_logit)

    @property
    def _feature_axis(self):
        first = getattr(self.layer, "data_format", None) == "channels_first"
        return 1 if first else -1

    def call(self, inputs, training=None, mask=None, **kwargs):
        self.add_loss(self._penalty())
        if training:
            inputs = self._dropped(inputs)
        return super().call(inputs, training=training, mask=mask, **kwargs)

    def _penalty(self):
        # log(rate) and log(1 - rate), finite whatever the rate.
        log_drop = -ops.softplus(-self.rate_logit)
        log_keep = -ops.softplus(self.rate_logit)
        squares = ops.sum(ops.square(self.kernels[0].value))
        decay = self.length_scale**2 / 2 * squares * ops.exp(-log_keep)
        entropy = -(self.rate * log_drop + (1 - self.rate) * log_keep)
        return self.penalty_scale * (decay - self.num_features * entropy)

    def _dropped(self, inputs):
        # `ops.shape` and not `.shape`, whose batch size is `None` in a
        # compiled graph.
        shape = [ops.shape(inputs)[0]] + [1] * (len(inputs.shape) - 1)
        shape[self._feature_axis] = self.num_features
        dtype = self.rate_logit.dtype
        uniform = keras.random.uniform(
            shape, minval=1e-7, dtype=dtype, seed=self.seed_generator
        )
        logit = self.rate_logit + ops.log(uniform) - ops.log1p(-uniform)
        kept = ops.sigmoid(-logit / self.temperature)
        # 1 - rate, but above 0 whatever the rate.
        keep = ops.sigmoid(-self.rate_logit)
        return ops.cast(inputs, dtype) * (kept / keep)

    def get_config(self):
        return {
            **super().get_config(),
            "dataset_size": self.dataset_size,
            "length_scale": self.length_scale,
            "precision": self.precision,
            "initial_rate": self.initial_rate,
            "temperature": self.temperature,
            "seed": self.seed,
        }
