"""A loop over time steps that keeps random draws and updates outside."""

from collections.abc import Callable

import keras
from keras import ops


def loop_over_time(
    step: Callable,
    sequences,
    states: list,
    mask=None,
    go_backwards: bool = False,
    unroll: bool = False,
    zero_output_for_mask: bool = False,
):
    """Runs a recurrent step over a sequence, and collects what it observes.

    Use it in the `inner_loop` of a `keras.layers.RNN` whose step needs more
    than its inputs and states. JAX allows neither random draws nor updates of
    variables inside a compiled loop. So the draws are made before it, and the
    step picks its own by position; and what the step observes comes back
    stacked, for the updates that follow. Masked samples keep their states.

    Args:
        step: Function `(position, inputs, active, states)` that returns the
            new states, a list whose first is the output, and a list of
            further tensors to collect. `position` counts from 0, an integer
            or a scalar tensor; `inputs` are `(batch, features)`; `active` is
            `None`, or a boolean `(batch, 1)` that is `True` where the sample
            has this step.
        sequences: Float tensor `(batch, time, features)`.
        states: List of the initial states, tensors `(batch, ...)`.
        mask: Optional boolean tensor `(batch, time)`. Default `None`: every
            step counts.
        go_backwards: Boolean. Whether to begin at the last step. Outputs come
            in the order of the loop. Default `False`.
        unroll: Boolean. Whether to write the steps out one after another.
            Default `False`.
        zero_output_for_mask: Boolean. Whether outputs are 0 at masked steps;
            else they repeat the one before. Default `False`.

    Returns:
        The outputs `(batch, time, ...)`, the last states, and a list of what
        was collected, with time as the second axis.

    Example:

    >>> def add(position, inputs, active, states):
    ...     return [states[0] + inputs], [inputs * 10.0]
    >>> sequences = keras.ops.array([[[1.0], [2.0]]])
    >>> outputs, _, collected = loop_over_time(
    ...     add, sequences, [keras.ops.zeros((1, 1))]
    ... )
    >>> [float(x) for x in outputs[0, :, 0]]
    [1.0, 3.0]
    """
    if go_backwards:
        sequences = ops.flip(sequences, axis=1)
    if mask is not None:
        if go_backwards:
            mask = ops.flip(mask, axis=1)
        # (time, batch, 1), to be picked by position.
        mask = ops.transpose(ops.cast(mask, "bool"))[..., None]

    def advance(inputs, states):
        position, *states = states
        active = None if mask is None else ops.take(mask, position, axis=0)
        new, collected = step(position, inputs, active, states)
        if active is not None:
            new = [
                ops.where(active, after, before)
                for after, before in zip(new, states, strict=True)
            ]
        return (new[0], *collected), [position + 1, *new]

    if unroll:
        rows, states = [], [0, *states]
        for position in range(sequences.shape[1]):
            row, states = advance(sequences[:, position], states)
            rows.append(row)
        stacked = [
            ops.stack(parts, axis=1) for parts in zip(*rows, strict=True)
        ]
    else:
        loop = keras.layers.RNN(_Step(advance), True, name="loop")
        start = ops.zeros((), "int32")
        _, stacked, states = loop.inner_loop(sequences, [start, *states], None)
    outputs, *collected = stacked
    if zero_output_for_mask and mask is not None:
        outputs = ops.where(ops.swapaxes(mask, 0, 1), outputs, 0)
    return outputs, list(states[1:]), collected


class _Step:
    """A function in the shape that `keras.layers.RNN` takes for a cell."""

    state_size = 1  # It asks, and uses it only in its own `call`.

    def __init__(self, call):
        self.call = call

    def __call__(self, inputs, states):
        return self.call(inputs, states)
