"""Gaussian noise whose strength may change while a model trains."""

import numbers

import keras
from keras import ops

from ..seed_generator import SeedGenerator


@keras.saving.register_keras_serializable(package="keras_regimen")
class AnnealedGaussianNoise(keras.layers.Layer):
    """Adds Gaussian noise whose strength a callback may change.

    Use it in place of `keras.layers.GaussianNoise` where the noise is to fade
    out (or in) while training: there the standard deviation is a number that a
    compiled training step keeps for good; here it is a variable.
    `layer.stddev = 0.1` takes effect at the next step, also of a compiled one,
    and is saved with the weights. At inference and at `stddev` 0 the layer is
    the identity. An input mask is passed on unchanged.

    With `relative=True` the strength is a share of each feature's own standard
    deviation over the batch, so that one number suits features of any scale
    and hidden units whose scale changes. Masked values do not count in it. It
    is treated as a constant: no gradient flows through it, so that units
    cannot learn to shrink their noise. A batch with one value of a feature has
    no deviation, and gets no noise.

    Args:
        stddev: Float, 0 or more. The standard deviation of the noise, to begin
            with: in the units of the inputs, or with `relative=True` as a
            share of each feature's deviation.
        relative: Boolean. Whether to multiply the noise by the standard
            deviation of each feature over the batch (under `tf.distribute`,
            over each replica's part of it). Default `False`.
        axis: Integer. The axis of the features, which `relative=True` needs.
            -1 (the default) is the last; use 1 after a convolution with
            `data_format="channels_first"`.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of draws.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of any shape; of rank 2 or more if `relative` is
            set. The batch size may change between calls.
        training: Boolean. Noise is added only if it is `True`.
        mask: Optional boolean tensor, `True` where a value counts in the
            deviation: of the leading axes of the inputs, such as
            `(batch, time)`. It does not keep noise away.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `stddev` is negative or not finite (when it is set
            later, too), `relative` is not a boolean, `axis` is not an integer
            or no axis of the inputs, or `seed` is not an integer in
            `[0, 2**31)`.

    Example:

    >>> layer = AnnealedGaussianNoise(stddev=0.3)
    >>> def fade(epoch, logs):  # From 0.3 to 0 in ten epochs.
    ...     layer.stddev = 0.3 * max(1 - epoch / 10, 0)
    >>> callback = keras.callbacks.LambdaCallback(on_epoch_begin=fade)
    >>> callback.on_epoch_begin(10, logs={})
    >>> float(layer(keras.ops.ones((1, 1)), training=True)[0, 0])
    1.0
    """

    def __init__(
        self,
        stddev: float,
        relative: bool = False,
        axis: int = -1,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(relative, bool):
            raise ValueError(
                f"`relative` must be a boolean. Received: relative={relative}"
            )
        if not isinstance(axis, numbers.Integral):
            raise ValueError(
                "`axis` must be an integer, the axis of the features. "
                f"Received: axis={axis}"
            )
        self.stddev = stddev
        self._initial_stddev = float(stddev)
        self.relative = relative
        self.axis = axis
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    @property
    def stddev(self):
        """The variable that holds the strength; it may be set to a number."""
        return self._stddev

    @stddev.setter
    def stddev(self, stddev):
        if not (
            isinstance(stddev, numbers.Real) and 0 <= stddev < float("inf")
        ):
            raise ValueError(
                "`stddev` must be a finite number, 0 or more. "
                f"Received: stddev={stddev}"
            )
        if hasattr(self, "_stddev"):
            self._stddev.assign(stddev)
            return
        self._stddev = self.add_weight(
            name="stddev",
            shape=(),
            initializer=keras.initializers.Constant(float(stddev)),
            # float32 whatever the policy: an annealed strength gets small.
            dtype="float32",
            autocast=False,
            trainable=False,
        )

    def build(self, input_shape):
        rank = len(input_shape)
        if self.relative and not -rank <= self.axis < rank:
            raise ValueError(
                f"`axis={self.axis}` must name an axis of the inputs. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )

    def call(self, inputs, training=None, mask=None):
        if not training:
            return inputs
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        wide = ops.cast(inputs, dtype)
        noise = keras.random.normal(
            ops.shape(inputs), dtype=dtype, seed=self.seed_generator
        )
        noise = noise * ops.cast(self._stddev, dtype)
        if self.relative:
            noise = noise * ops.stop_gradient(self._deviation(wide, mask))
        return ops.cast(wide + noise, inputs.dtype)

    def _deviation(self, inputs, mask):
        """Returns each feature's standard deviation over all other axes."""
        rank = len(inputs.shape)
        axes = [axis for axis in range(rank) if axis != self.axis % rank]
        if mask is None:
            return ops.std(inputs, axis=axes, keepdims=True)
        # (batch, time) to (batch, time, 1, ...), then 1 where the features are.
        for _ in range(rank - 1 - len(mask.shape)):
            mask = ops.expand_dims(mask, -1)
        mask = ops.expand_dims(mask, self.axis)
        mask = ops.broadcast_to(ops.cast(mask, "bool"), ops.shape(inputs))

        def average(values):
            total = ops.sum(ops.where(mask, values, 0), axes, keepdims=True)
            return total / ops.maximum(count, 1)

        count = ops.sum(ops.cast(mask, inputs.dtype), axes, keepdims=True)
        mean = average(inputs)
        return ops.sqrt(average(ops.square(inputs - mean)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "stddev": self._initial_stddev,
            "relative": self.relative,
            "axis": self.axis,
            "seed": self.seed,
        }
