"""Loops that are compiled where values are traced, and plain Python else."""

from keras import ops

from ._backend import is_eager


def while_loop(condition, body, state):
    """Returns the state after `body`, as long as `condition` holds.

    Outside of a compiled function this is a Python loop, so that the body may
    do what no backend can trace, such as reading data from the host.

    Args:
        condition: Function from the state to a scalar boolean.
        body: Function from the state to the next one, of the same structure,
            shapes and dtypes.
        state: Structure of tensors.

    Returns:
        The last state.

    Example:

    >>> int(while_loop(lambda i: i < 10, lambda i: i * 2, keras.ops.array(3)))
    12
    """
    if is_eager():
        while condition(state):
            state = body(state)
        return state
    return ops.while_loop(condition, lambda s: [body(s)], [state])[0]


def map_rows(function, rows):
    """Returns a function's results for each row of a matrix, stacked.

    Args:
        function: Function from a vector to a tensor.
        rows: Tensor `(rows, size)`.

    Returns:
        Tensor `(rows, ...)`.

    Example:

    >>> [float(x) for x in map_rows(keras.ops.sum, keras.ops.eye(3))]
    [1.0, 1.0, 1.0]
    """
    if is_eager():
        return ops.stack([function(row) for row in ops.unstack(rows)])
    return ops.map(function, rows)
