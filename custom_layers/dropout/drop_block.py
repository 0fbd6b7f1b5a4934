"""DropBlock: drop whole regions of feature maps while training."""

import numbers

import keras
from keras import ops

from ..seed_generator import SeedGenerator


class _DropBlock(keras.layers.Layer):
    """What `DropBlock1D` and `DropBlock2D` share, for `rank` axes."""

    rank: int

    def __init__(
        self,
        rate: float,
        block_size: int | tuple[int, ...] = 7,
        per_channel: bool = True,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not (isinstance(rate, numbers.Real) and 0 <= rate < 1):
            raise ValueError(
                f"`rate` must be a probability in [0, 1). Received: rate={rate}"
            )
        sizes = (
            (block_size,) * self.rank
            if isinstance(block_size, numbers.Integral)
            else block_size
        )
        if not (
            isinstance(sizes, (tuple, list))
            and len(sizes) == self.rank
            and all(isinstance(s, numbers.Integral) and s > 0 for s in sizes)
        ):
            raise ValueError(
                "`block_size` must be a positive integer, or a tuple of "
                f"{self.rank} of them. Received: block_size={block_size}"
            )
        if not isinstance(per_channel, bool):
            raise ValueError(
                "`per_channel` must be a boolean. "
                f"Received: per_channel={per_channel}"
            )
        if data_format is None:
            data_format = keras.config.image_data_format()
        if data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                '`data_format` must be "channels_last" or "channels_first". '
                f"Received: data_format={data_format}"
            )
        self.rate = float(rate)
        self.block_size = tuple(map(int, sizes))
        self.per_channel = per_channel
        self.data_format = data_format
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        kept = self._draw_kept(ops.shape(inputs))
        # Where nothing is kept there is nothing to scale.
        scale = ops.divide_no_nan(1.0, ops.mean(ops.cast(kept, "float32")))
        scaled = inputs * ops.cast(scale, inputs.dtype)
        # `where` rather than a product: 0 * inf would be NaN.
        return ops.where(kept, scaled, 0)

    def _draw_kept(self, shape):
        """Returns where units are kept, as booleans of `shape`.

        Its channels are one if all share their blocks.
        """
        last = self.data_format == "channels_last"
        sizes = list(shape)  # Integers, or tensors where a size is unknown.
        if not self.per_channel:
            sizes[-1 if last else 1] = 1
        axes = range(1 if last else 2, self.rank + (1 if last else 2))

        # A block is drawn by its first corner, so that it lies inside. An
        # axis shorter than a block has one corner, and is dropped whole.
        corners = list(sizes)
        gamma = self.rate
        for axis, block in zip(axes, self.block_size, strict=True):
            corners[axis] = _at_least_one(sizes[axis] - block + 1)
            # Equation 1: a unit lies in one block for each of its units, and
            # fewer corners than units must do for all.
            size, count = (
                ops.cast(n, "float32") for n in (sizes[axis], corners[axis])
            )
            gamma = gamma * size / ((size - count + 1) * count)
        # float32 whatever the policy: gamma is much smaller than the rate.
        noise = keras.random.uniform(
            corners, dtype="float32", seed=self.seed_generator
        )
        kept = noise >= gamma
        for axis, block in zip(axes, self.block_size, strict=True):
            kept = _spread(kept, axis, block)
            kept = _slice(kept, axis, None, sizes[axis])
        return kept

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "block_size": self.block_size,
            "per_channel": self.per_channel,
            "data_format": self.data_format,
            "seed": self.seed,
        }


def _at_least_one(number):
    if isinstance(number, int):
        return max(number, 1)
    return ops.maximum(number, 1)


def _slice(tensor, axis, start, stop):
    return tensor[(slice(None),) * axis + (slice(start, stop),)]


def _spread(kept, axis, block):
    """Returns where no block of this length along an axis covers a unit.

    `kept` is `False` for the corners at which a block begins.
    """
    pads = [(0, 0)] * len(kept.shape)
    pads[axis] = (block - 1, block - 1)
    kept = ops.pad(kept, pads, constant_values=True)
    # Doubling: two blocks of length w, at most w apart, make a longer one. On
    # booleans this costs less than pooling of numbers.
    width = 1
    while width < block:
        step = min(width, block - width)
        kept = ops.logical_and(
            _slice(kept, axis, None, -step), _slice(kept, axis, step, None)
        )
        width += step
    return kept


@keras.saving.register_keras_serializable(package="keras_regimen")
class DropBlock1D(_DropBlock):
    """Drops blocks of consecutive steps of a sequence while training.

    Use it after a 1D convolution, where `keras.layers.Dropout` does little:
    neighbouring steps tell the next layer what a dropped one would have said.
    Each channel loses blocks of `block_size` steps, and what is kept is
    multiplied by the inverse of the share that is kept in the whole batch, so
    that the sum stays. At inference and at rate 0 the layer is the identity.
    With `block_size` 1 it drops single units; a block as long as the sequence
    drops whole channels. An input mask is passed on unchanged.

    Args:
        rate: Float in `[0, 1)`. About the share of units that is dropped; a
            little less, for blocks overlap. 0 turns the layer off.
        block_size: Positive integer, or a tuple of one. The number of steps
            of a block; a longer one than the sequence drops it whole. Default
            7, as in the paper.
        per_channel: Boolean. Whether each channel draws its own blocks (the
            default) or all channels of a sample lose the same steps.
        data_format: `"channels_last"` or `"channels_first"`. Default:
            `keras.config.image_data_format()`.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of blocks.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of shape `(batch, steps, channels)`, or `(batch,
            channels, steps)` with `"channels_first"`. Batch size and number of
            steps may change between calls.
        training: Boolean. Blocks are dropped only if it is `True`.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `rate` is outside `[0, 1)`, `block_size` is not a
            positive integer, `per_channel` is not a boolean, `data_format` is
            unknown, or `seed` is not an integer in `[0, 2**31)`.

    Example:

    >>> steps = keras.ops.ones((1, 6, 1))
    >>> layer = DropBlock1D(rate=0.5, block_size=3, seed=1)
    >>> outputs = layer(steps, training=True)
    >>> bool(abs(keras.ops.sum(outputs) - 6) < 1e-5)  # Scaled to the same sum.
    True

    Reference:

    - Ghiasi, Lin and Le, "DropBlock: A regularization method for
      convolutional networks", [2018](https://arxiv.org/abs/1810.12890),
      algorithm 1 and equation 1 for one axis; see `DropBlock2D`.
    """

    rank = 1


@keras.saving.register_keras_serializable(package="keras_regimen")
class DropBlock2D(_DropBlock):
    """Drops square regions of feature maps while training.

    Use it after a convolution, where `keras.layers.Dropout` does little:
    neighbouring units tell the next layer what a dropped one would have said.
    Each channel loses blocks of `block_size` times `block_size` units, and
    what is kept is multiplied by the inverse of the share that is kept in the
    whole batch, so that the sum over feature maps of ones stays. At inference
    and at rate 0 the layer is the identity. With `block_size` 1 it drops
    single units; a block as large as the map drops whole channels, as
    `keras.layers.SpatialDropout2D` does. The paper raises the rate from 0
    over the training.

    Args:
        rate: Float in `[0, 1)`. About the share of units that is dropped; a
            little less, for blocks overlap. 0 turns the layer off.
        block_size: Positive integer, or a tuple of two for height and width:
            the units of a block. A longer side than the map's drops the map
            whole. Default 7, as in the paper (for maps of 14 to 28 units).
        per_channel: Boolean. Whether each channel draws its own blocks (the
            default) or all channels of a sample lose the same region.
        data_format: `"channels_last"` or `"channels_first"`. Default:
            `keras.config.image_data_format()`.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of blocks.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of shape `(batch, height, width, channels)`, or
            `(batch, channels, height, width)` with `"channels_first"`. All but
            the channels may change between calls.
        training: Boolean. Blocks are dropped only if it is `True`.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `rate` is outside `[0, 1)`, `block_size` is not one or
            two positive integers, `per_channel` is not a boolean,
            `data_format` is unknown, or `seed` is not an integer in
            `[0, 2**31)`.

    Example:

    >>> maps = keras.ops.ones((2, 8, 8, 4))
    >>> layer = DropBlock2D(rate=0.2, block_size=3, seed=1)
    >>> outputs = layer(maps, training=True)
    >>> bool(abs(keras.ops.mean(outputs) - 1) < 1e-5)
    True

    Reference:

    - Ghiasi, Lin and Le, "DropBlock: A regularization method for
      convolutional networks", [2018](https://arxiv.org/abs/1810.12890),
      algorithm 1 and equation 1. Blocks of even size are allowed, a map
      smaller than a block is dropped whole, and a mask that drops everything
      gives zeros where the paper divides by zero. Under `tf.distribute` the
      share that is kept is that of each replica's part of the batch.
    """

    rank = 2
