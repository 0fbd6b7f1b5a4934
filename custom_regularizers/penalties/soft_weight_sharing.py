"""Soft weight sharing: weights gather around a few learned values."""

import math
import numbers

import keras
from keras import ops
from keras.src.saving.serialization_lib import (
    get_shared_object,
    record_object_after_deserialization,
)

from ..incoming_weights import in_full_precision
from .penalty import checked_strength


@keras.saving.register_keras_serializable(package="keras_regimen")
class SoftWeightSharing(keras.layers.Layer, keras.Regularizer):
    """Penalty that draws weights to a few values, which are learned too.

    Use it to compress: after training, weights can be replaced by the mean of
    their component. The penalty is the negative log-likelihood of the weights
    under a mixture of Gaussians,

        -strength * sum over weights of log(
            sum over components of mixing * Normal(w; mean, stddev))

    and `fit` trains means, standard deviations and mixing proportions along
    with the weights. For that the penalty is a layer as well: whichever layer
    takes it as its `kernel_regularizer` tracks it as a sublayer, and so they
    are trained, saved and counted with that layer's weights.

    One object given to several layers (`regularize` does that) is one mixture
    for all their weights. It stays one when the model is saved and loaded,
    known by its `name`; `keras.models.clone_model` gives each layer its own.
    Freezing a layer freezes its mixture. Optimizers with weight decay should
    exclude `means`, `log_variances` and `mixing_logits`.

    Args:
        components: Integer, 2 or more. The number of Gaussians. Default 4.
        strength: Float, 0 or more. The factor, in units of the loss per nat;
            1 over the number of training samples if the loss is a mean of
            negative log-likelihoods. Default 1e-5.
        initial_range: Positive float. The means start evenly spread from
            `-initial_range` to `initial_range`, with standard deviations of
            half their distance and equal proportions. Default 0.25; it
            should cover the initial weights.
        min_stddev: Positive float. What is added, squared, to each variance:
            without it a component could shrink onto one weight, and the
            penalty fall without end. Default 1e-3.
        **kwargs: Base layer arguments, such as `name`.

    Call arguments:
        weights: Tensor or variable of any shape.

    Returns:
        A scalar tensor, the penalty.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> penalty = SoftWeightSharing(components=3, initial_range=0.5)
    >>> keras.ops.convert_to_numpy(penalty.means).round(2).tolist()
    [-0.5, 0.0, 0.5]
    >>> layer = keras.layers.Dense(2, kernel_regularizer=penalty)
    >>> layer.build((None, 4))
    >>> len(layer.trainable_weights)
    5

    Reference:

    - Nowlan and Hinton, "Simplifying Neural Networks by Soft Weight-Sharing",
      Neural Computation 4, 1992. As there, a softmax keeps the proportions
      and a logarithm the variances in their ranges; the lower bound of the
      variances is ours.
    """

    def __init__(
        self,
        components: int = 4,
        strength: float = 1e-5,
        initial_range: float = 0.25,
        min_stddev: float = 1e-3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if (
            not isinstance(components, numbers.Integral)
            or isinstance(components, bool)
            or components < 2
        ):
            raise ValueError(
                "`components` must be an integer, 2 or more. "
                f"Received: components={components}"
            )
        for name, value in (
            ("initial_range", initial_range),
            ("min_stddev", min_stddev),
        ):
            if not (isinstance(value, numbers.Real) and 0 < value < math.inf):
                raise ValueError(
                    f"`{name}` must be a positive finite number. "
                    f"Received: {name}={value}"
                )
        self.components = int(components)
        self.strength = checked_strength(strength)
        self.initial_range = float(initial_range)
        self.min_stddev = float(min_stddev)
        self.build()

    def build(self, input_shape=None):
        if self.built:
            return
        spread, count = self.initial_range, self.components
        spacing = 2 * spread / (count - 1)
        options = {"shape": (count,), "dtype": "float32", "autocast": False}
        self.means = self.add_weight(
            name="means",
            initializer=lambda shape, dtype: ops.linspace(
                -spread, spread, count, dtype=dtype
            ),
            **options,
        )
        self.log_variances = self.add_weight(
            name="log_variances",
            initializer=keras.initializers.Constant(2 * math.log(spacing / 2)),
            **options,
        )
        self.mixing_logits = self.add_weight(
            name="mixing_logits", initializer="zeros", **options
        )
        self.built = True

    @property
    def stddevs(self):
        """The standard deviations as they are now, a tensor."""
        return ops.sqrt(ops.exp(self.log_variances) + self.min_stddev**2)

    @property
    def mixing(self):
        """The proportions as they are now, a tensor that sums to 1."""
        return ops.softmax(self.mixing_logits)

    # Not `call`: in `Layer.__call__` the weights would be rounded to the
    # compute dtype, and a name scope and a mask are of no use here.
    def __call__(self, weights):
        weights = ops.reshape(in_full_precision(weights), (-1, 1))
        # The mixture is in float32, weights may be in float64.
        means, stddevs, logits = (
            ops.cast(x, weights.dtype)
            for x in (self.means, self.stddevs, self.mixing_logits)
        )
        logs = (
            ops.log_softmax(logits)
            - ops.log(stddevs)
            - 0.5 * math.log(2 * math.pi)
            - 0.5 * ops.square((weights - means) / stddevs)
        )
        return -self.strength * ops.sum(ops.logsumexp(logs, axis=-1))

    def get_config(self):
        return {
            **super().get_config(),
            "components": self.components,
            "strength": self.strength,
            "initial_range": self.initial_range,
            "min_stddev": self.min_stddev,
        }

    @classmethod
    def from_config(cls, config):
        """Creates the penalty, or finds it in the model being loaded.

        Args:
            config: Dictionary, as from `get_config`.

        Returns:
            A penalty. While a model is loaded, configs with the same name
            give the same object.
        """
        # Keras marks objects that occur twice, but leaves the first of them
        # unmarked if it lies in another object's config. So a mark of ours,
        # in Keras' own (private) memory of the model being loaded.
        mark = f"{cls.__name__}/{config['name']}"
        shared = get_shared_object(mark)
        if shared is None:
            shared = cls(**config)
            record_object_after_deserialization(shared, mark)
        return shared
