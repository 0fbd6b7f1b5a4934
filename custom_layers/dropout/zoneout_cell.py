"""Zoneout: units of a recurrent state keep their previous values."""

import numbers
from collections.abc import Sequence

import keras
from keras import ops

from ..seed_generator import SeedGenerator

if keras.config.backend() == "jax":
    from .._jax import would_leak


@keras.saving.register_keras_serializable(package="keras_regimen")
class ZoneoutCell(keras.layers.Layer):
    """Wraps a recurrent cell so that units of its states randomly stand still.

    Use it around `LSTMCell`, `GRUCell`, `SimpleRNNCell` or a cell of your
    own, in `keras.layers.RNN`; for an LSTM, `ZoneoutLSTM` is the same and
    draws all its masks at once. While training, each unit of a state keeps
    its previous value with probability `rate`, drawn anew at each step. At
    inference a state is the expectation, `rate * previous + (1 - rate) *
    new`. Unlike dropout, nothing is set to zero, and gradients pass through
    the units that stand still.

    If the cell's output is a state (the very tensor, as in Keras' cells), it
    is that state after zoneout. On JAX, training needs
    `keras.layers.RNN(..., unroll=True)`: nothing can be drawn inside a
    compiled loop.

    Args:
        cell: A `keras.layers.Layer` with `state_size`, without dropout of its
            own.
        rate: Float in `[0, 1]`, or a sequence with one for each state of the
            cell. The probability that a unit keeps its previous value. 0
            turns zoneout off, 1 keeps the initial state for ever.
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of masks.
        **kwargs: Base layer arguments, such as `name`. `dtype` is the cell's
            unless given.

    Call arguments:
        inputs: Float tensor of shape `(batch, features)`.
        states: List of tensors, the cell's previous states.
        training: Boolean. Masks are drawn if it is `True`, otherwise states
            are averaged.

    Returns:
        The output, and the list of new states.

    Raises:
        ValueError: If `cell` is no layer with a flat `state_size` or has
            dropout of its own, `rate` is outside `[0, 1]` or does not have
            one value for each state, or `seed` is not an integer in
            `[0, 2**31)`. On JAX also where the cell trains in a loop that is
            not unrolled.

    Example:

    >>> cell = ZoneoutCell(keras.layers.GRUCell(3), rate=1.0)
    >>> output, _ = cell(keras.ops.ones((1, 2)), [keras.ops.zeros((1, 3))])
    >>> float(output[0, 0])  # The state stands still.
    0.0

    Reference:

    - Krueger, Maharaj, Kramár, Pezeshki, Ballas, Ke, Goyal, Bengio, Courville
      and Pal, "Zoneout: Regularizing RNNs by Randomly Preserving Hidden
      Activations", [2016](https://arxiv.org/abs/1606.01305), section 3. As in
      its equation for the LSTM, the new hidden state is computed from the new
      memory before zoneout.
    """

    def __init__(
        self,
        cell: keras.layers.Layer,
        rate: float | Sequence[float],
        seed: int | None = None,
        **kwargs,
    ):
        sizes = getattr(cell, "state_size", None)
        sizes = [sizes] if isinstance(sizes, int) else sizes
        if (
            not isinstance(cell, keras.layers.Layer)
            or not isinstance(sizes, (list, tuple))
            or not all(isinstance(size, int) for size in sizes)
        ):
            raise ValueError(
                "`cell` must be a layer whose `state_size` is an integer or a "
                "list of them, such as `keras.layers.LSTMCell(8)`. Wrap the "
                f"cells of a stack one by one. Received: cell={cell}"
            )
        for name in ("dropout", "recurrent_dropout"):
            if getattr(cell, name, 0):
                raise ValueError(
                    f"`cell` must have no `{name}` of its own: Keras would "
                    "never renew its mask inside another cell. "
                    f"Received: cell.{name}={getattr(cell, name)}"
                )
        super().__init__(**{"dtype": cell.dtype_policy, **kwargs})
        rates = [rate] * len(sizes) if isinstance(rate, numbers.Real) else rate
        if not isinstance(rates, (list, tuple)) or len(rates) != len(sizes):
            raise ValueError(
                f"`rate` must be a probability, or {len(sizes)} of them, one "
                f"for each state of the cell. Received: rate={rate}"
            )
        for each in rates:
            check_rate("rate", each)
        self.cell = cell
        self.rate = (
            float(rate)
            if isinstance(rate, numbers.Real)
            else [float(each) for each in rates]
        )
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    @property
    def state_size(self):
        """The cell's own: an integer or a list of them."""
        return self.cell.state_size

    @property
    def output_size(self):
        """The cell's own, or the size of its first state."""
        first = self.state_size
        first = first if isinstance(first, int) else first[0]
        return getattr(self.cell, "output_size", None) or first

    def get_initial_state(self, batch_size=None):
        """Returns the states before the first step: the cell's, or zeros."""
        if hasattr(self.cell, "get_initial_state"):
            return self.cell.get_initial_state(batch_size=batch_size)
        sizes = keras.tree.flatten(self.state_size)
        return [ops.zeros((batch_size, n), self.compute_dtype) for n in sizes]

    def build(self, input_shape):
        if not self.cell.built:
            self.cell.build(input_shape)

    def call(self, inputs, states, training=False):
        outputs, new = self.cell(inputs, states)
        flat = keras.tree.flatten(new)
        rates = self.rate if isinstance(self.rate, list) else [self.rate]
        rates = rates * (len(flat) // len(rates))
        mixed = [
            zone_out(before, after, rate, self._kept(after, rate, training))
            for before, after, rate in zip(
                keras.tree.flatten(states), flat, rates, strict=True
            )
        ]
        for after, zoned in zip(flat, mixed, strict=True):
            if outputs is after:
                outputs = zoned
        return outputs, keras.tree.pack_sequence_as(new, mixed)

    def _kept(self, state, rate, training):
        if not training or rate in (0, 1):
            return None
        if keras.config.backend() == "jax" and would_leak(
            self.seed_generator.state
        ):
            raise ValueError(
                "On JAX, `ZoneoutCell` trains in an unrolled loop only, since "
                "nothing can be drawn inside a compiled one. Use "
                "`keras.layers.RNN(cell, unroll=True)`, or `ZoneoutLSTM`. "
                f"Received: rate={self.rate} and training=True"
            )
        return draw_kept(ops.shape(state), rate, self.seed_generator)

    def get_config(self):
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "rate": self.rate,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Makes the layer from what `get_config` returned."""
        cell = keras.saving.deserialize_keras_object(
            config["cell"], custom_objects=custom_objects
        )
        return cls(**{**config, "cell": cell})


def check_rate(name, rate):
    """Raises a `ValueError` unless a zoneout rate is in `[0, 1]`."""
    if not (isinstance(rate, numbers.Real) and 0 <= rate <= 1):
        raise ValueError(
            f"`{name}` must be a probability in [0, 1]. Received: {name}={rate}"
        )


def draw_kept(shape, rate, seed_generator):
    """Returns a boolean tensor, `True` with probability `rate`."""
    # float32 whatever the policy: float16 has too few steps for a rate.
    noise = keras.random.uniform(shape, dtype="float32", seed=seed_generator)
    return noise < rate


def zone_out(before, after, rate, kept=None):
    """Returns a state that partly keeps its previous value.

    Args:
        before: Tensor, the previous state.
        after: Tensor, the state that the cell proposes.
        rate: Float in `[0, 1]`. The probability to keep the previous value.
        kept: Optional boolean tensor, `True` where it is kept. Default
            `None`: the expectation.

    Returns:
        Tensor of the same shape.
    """
    if rate == 0:
        return after
    if rate == 1:
        return before
    if kept is None:
        return rate * before + (1 - rate) * after
    return ops.where(kept, before, after)
