"""An LSTM with batch normalization, statistics for each time step."""

import inspect

import keras
from keras import ops

from ..time_loop import loop_over_time
from .batch_norm_lstm_cell import BatchNormLSTMCell
from .lstm_step import project


@keras.saving.register_keras_serializable(package="keras_regimen")
class BatchNormLSTM(keras.layers.RNN):
    """An LSTM with batch normalization, statistics for each time step.

    Use it in place of `keras.layers.LSTM` to train with fewer updates or
    larger steps. What comes from the inputs, what comes from the hidden
    state, and the memory on its way to the output, are each normalized over
    the batch, every time step by itself. At inference each step has its own
    moving statistics, and steps beyond `max_length` use those of the last. It
    computes what `keras.layers.RNN(BatchNormLSTMCell(units, max_length))`
    does, faster: the inputs are multiplied and normalized before the loop,
    and statistics are moved after it, so that JAX needs no `unroll=True`.

    Masked samples do not count in the statistics, and keep their states. A
    time step is a place in the sequence, padding included: pad at the end.
    Statistics are float32 whatever the policy.

    There are three states: `return_state=True` returns hidden state, memory
    and a count of steps, which `stateful=True` goes on from; `initial_state`
    may leave the count out.

    Args:
        units: Positive integer. The size of the output, the hidden state and
            the memory.
        max_length: Integer in `[1, 65536]`. The number of time steps with
            statistics of their own: the length of the longest sequence that
            is trained on. In training, steps beyond it are normalized by
            their batch and leave no trace.
        momentum: Float in `[0, 1]`. The share of the moving statistics that
            is kept at each update. Default 0.99.
        epsilon: Positive float. Added to the variance. Default 1e-3.
        initial_gamma: Positive float. The scale that all three normalizations
            start with. Default 0.1: with 1, tanh saturates and gradients
            vanish over time.
        **kwargs: The other arguments of `keras.layers.LSTMCell` and of
            `keras.layers.RNN`.

    Call arguments:
        sequences: Float tensor of shape `(batch, time, features)`.
        initial_state: Optional list of two tensors `(batch, units)`, and a
            third `(batch, 2)`, the count, as `return_state=True` returns it.
        mask: Optional boolean tensor `(batch, time)`.
        training: Boolean. If `True` (and `trainable` is), statistics of the
            batch are used, otherwise the moving ones.

    Returns:
        Float tensor `(batch, units)`, or `(batch, time, units)` with
        `return_sequences=True`; with `return_state=True` followed by the
        three states.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> layer = BatchNormLSTM(8, max_length=5)
    >>> tuple(layer(keras.ops.ones((2, 5, 3)), training=True).shape)
    (2, 8)

    Reference:

    - Cooijmans, Ballas, Laurent, Gülçehre and Courville, "Recurrent Batch
      Normalization", [2016](https://arxiv.org/abs/1603.09025), equations 6 to
      8. As there, only the memory has a shift, the gates' bias serving the
      other two. We keep moving averages with the unbiased variance while
      training; the paper's estimates are made from the training set.
    """

    def __init__(
        self,
        units: int,
        max_length: int,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        initial_gamma: float = 0.1,
        **kwargs,
    ):
        of_cells = inspect.signature(keras.layers.LSTMCell).parameters
        cell = BatchNormLSTMCell(
            units,
            max_length,
            momentum,
            epsilon,
            initial_gamma,
            name="batch_norm_lstm_cell",
            **{k: kwargs.pop(k) for k in list(kwargs) if k in of_cells},
            **{k: kwargs[k] for k in ("dtype", "trainable") if k in kwargs},
        )
        super().__init__(cell, **kwargs)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Runs the cell over time, as `keras.layers.RNN.call` asks."""
        cell = self.cell
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=1)
            mask = None if mask is None else ops.flip(mask, axis=1)
        batch, length, _ = ops.shape(sequences)
        hidden, carry, *rest = initial_state
        counted = rest[0] if rest else ops.zeros((batch, 2), hidden.dtype)
        start = ops.max(cell.steps(counted))
        learning = training and self.trainable and cell.trainable
        observed: dict = {}
        # The cell keeps its masks until the call ends. A replica that waits
        # for the others' statistics meanwhile would find those of the first.
        dropped, recurrent = cell.masks(sequences[:, 0], hidden, training)
        self._maybe_reset_dropout_masks(cell)

        def normalizer(active, position, observed):
            if learning:
                return cell.by_batch(active, observed)
            return cell.by_moving(start + position)

        def step(position, gates, active, states):
            seen: dict = {}
            normalize = normalizer(active, position, seen)
            new = cell.step(gates, *states, normalize, recurrent)
            return list(new), [s for pair in seen.values() for s in pair]

        active = None if mask is None else ops.cast(mask, "bool")[..., None]
        dropped = keras.tree.map_structure(
            lambda mask: None if mask is None else mask[:, None], dropped
        )
        gates = normalizer(active, ops.arange(length), observed)(
            "input", project(sequences, cell.kernel, dropped)
        )
        outputs, states, collected = loop_over_time(
            step,
            gates,
            [hidden, carry],
            mask,
            unroll=self.unroll,
            zero_output_for_mask=self.zero_output_for_mask,
        )
        if learning:
            observed["recurrent"] = collected[:2]
            observed["state"] = collected[2:]
            count = ops.ones((batch, length)) if mask is None else mask
            count = ops.sum(ops.cast(count, "float32"), axis=0)
            # Here replicas wait for each other; the next must not find these.
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
            cell.move(observed, start, count)
        end = ops.broadcast_to(start + length, (batch,))
        return outputs[:, -1], outputs, [*states, cell.counted(end, hidden)]

    def get_config(self):
        config = super().get_config()
        del config["cell"]
        return {**self.cell.get_config(), **config}

    @classmethod
    def from_config(cls, config):
        """Makes the layer from what `get_config` returned."""
        return cls(**config)
