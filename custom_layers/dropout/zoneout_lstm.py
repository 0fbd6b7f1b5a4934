"""An LSTM with zoneout whose masks are all drawn before the loop."""

import keras
from keras import ops

from ..seed_generator import SeedGenerator
from ..time_loop import loop_over_time
from .zoneout_cell import check_rate, draw_kept, zone_out


@keras.saving.register_keras_serializable(package="keras_regimen")
class ZoneoutLSTM(keras.layers.LSTM):
    """An LSTM whose units randomly keep their previous values.

    Use it in place of `keras.layers.LSTM` to regularize what the network
    carries from step to step. While training, each unit of the hidden state
    and of the memory keeps its previous value, with probability `hidden_rate`
    and `cell_rate`, drawn anew at each step. At inference a state is the
    expectation, `rate * previous + (1 - rate) * new`. With both rates 0 it is
    `keras.layers.LSTM`, to the bit.

    It computes what `keras.layers.RNN(ZoneoutCell(LSTMCell(units)))` does,
    and draws its masks before the loop, so that it needs no `unroll=True` on
    JAX. cuDNN knows no zoneout and is not used.

    Args:
        units: Positive integer. The size of the output and of both states.
        hidden_rate: Float in `[0, 1]`. The probability that a unit of the
            hidden state, the output, keeps its previous value. Default 0.05,
            the paper's for character-level language models (0.025 for
            words, 0.15 for permuted digits).
        cell_rate: Float in `[0, 1]`. The same for the memory. Default 0.5
            (the paper's 0.25 for words, 0.15 for digits).
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of masks.
        **kwargs: The other arguments of `keras.layers.LSTM`, but for
            `use_cudnn`.

    Call arguments:
        sequences: Float tensor of shape `(batch, time, features)`.
        initial_state: Optional list of two tensors `(batch, units)`.
        mask: Optional boolean tensor `(batch, time)`. A masked step changes
            no state.
        training: Boolean. Masks are drawn if it is `True`, otherwise states
            are averaged.

    Returns:
        Float tensor `(batch, units)`, or `(batch, time, units)` with
        `return_sequences=True`; with `return_state=True` followed by the last
        hidden state and memory.

    Raises:
        ValueError: If a rate is outside `[0, 1]`, or `seed` is not an integer
            in `[0, 2**31)`.

    Example:

    >>> layer = ZoneoutLSTM(8, hidden_rate=0.05, cell_rate=0.5)
    >>> tuple(layer(keras.ops.ones((2, 5, 3)), training=True).shape)
    (2, 8)

    Reference:

    - Krueger, Maharaj, Kramár, Pezeshki, Ballas, Ke, Goyal, Bengio, Courville
      and Pal, "Zoneout: Regularizing RNNs by Randomly Preserving Hidden
      Activations", [2016](https://arxiv.org/abs/1606.01305), sections 3 and
      4. As in its equation for the LSTM, the new hidden state is computed
      from the new memory before zoneout.
    """

    def __init__(
        self,
        units: int,
        hidden_rate: float = 0.05,
        cell_rate: float = 0.5,
        seed: int | None = None,
        **kwargs,
    ):
        check_rate("hidden_rate", hidden_rate)
        check_rate("cell_rate", cell_rate)
        seed_generator = SeedGenerator(seed)
        # Another seed for Keras' own dropout: from the same one its masks
        # and ours would be drawn from the same random bits.
        own = None if seed is None else (seed + 1) % 2**31
        super().__init__(units, seed=own, use_cudnn=False, **kwargs)
        self.hidden_rate = float(hidden_rate)
        self.cell_rate = float(cell_rate)
        self.seed = seed
        self.seed_generator = seed_generator

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """Runs the cell over time, as `keras.layers.RNN.call` asks."""
        rates = self.hidden_rate, self.cell_rate
        if rates == (0, 0):
            return super().inner_loop(sequences, initial_state, mask, training)
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        batch, time, _ = ops.shape(sequences)
        kept = [
            draw_kept((time, batch, self.units), rate, self.seed_generator)
            if training and 0 < rate < 1
            else None
            for rate in rates
        ]

        def step(position, inputs, active, states):
            _, new = self.cell(inputs, states, training=training)
            picked = [
                None if k is None else ops.take(k, position, axis=0)
                for k in kept
            ]
            return list(map(zone_out, states, new, rates, picked)), []

        outputs, states, _ = loop_over_time(
            step,
            sequences,
            initial_state,
            mask,
            go_backwards=self.go_backwards,
            unroll=self.unroll,
            zero_output_for_mask=self.zero_output_for_mask,
        )
        return outputs[:, -1], outputs, states

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_rate": self.hidden_rate,
            "cell_rate": self.cell_rate,
            "seed": self.seed,
        }
