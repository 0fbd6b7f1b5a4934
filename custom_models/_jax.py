"""Epochs as one `jax.jit`: a `fori_loop` over Keras' own stateless steps."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import keras
import numpy as np
from jax import numpy as jnp
from keras import tree

from ._batches import Batches, num_samples
from ._logs import reported

# Values of the trainable, the non-trainable, in training the optimizer's, and
# the metrics' variables: what Keras' steps take and return.
State = tuple[list[jax.Array], ...]


def why_not(model: keras.Model) -> str | None:
    """Why JAX cannot compile an epoch of this model."""
    if not model.jit_compile:
        return "the model was compiled with `jit_compile=False`"
    if keras.config.is_nnx_enabled():
        return "NNX is enabled"
    if keras.distribution.distribution() is not None:
        return "a `keras.distribution` is set"
    return None


def prepare(model: keras.Model, data: Any, batch_size: int) -> None:
    """Creates what variables are missing: a compiled function cannot."""
    # Private, because nothing public builds compiled metrics and losses.
    model._symbolic_build(
        data_batch=tree.map_structure(
            lambda a: None if a is None else a[:batch_size], data
        )
    )


def make_epoch(model: keras.Model) -> Callable:
    """Returns `(data, batches, validation) -> (logs, validation's logs)`."""
    train_step = _compiled(model.train_step)
    test_step = _compiled(model.test_step)

    # `fit` gives its buffers to each step. On a CPU, where a call returns only
    # when it is done, an interrupt would leave a model without values.
    donated = () if jax.default_backend() == "cpu" else 0

    @functools.partial(jax.jit, donate_argnums=donated)
    def part(
        state: State,
        data: Any,
        indices: jax.Array,
        bounds: tuple[int, int],
        last: jax.Array | None,
        validation: tuple[Any, Batches] | None,
    ) -> tuple[dict, dict | None, State]:
        logs, state = _loop(train_step, state, data, indices, bounds, last)
        trainable, non_trainable, optimizer, metrics = state
        testing: State = (trainable, non_trainable, metrics)
        with _scope(model, testing):
            logs = reported(model, logs)
        if validation is None:
            return logs, None, state
        val_logs, testing = _evaluation(model, test_step, testing, *validation)
        trainable, non_trainable, metrics = testing
        return logs, val_logs, (trainable, non_trainable, optimizer, metrics)

    def epoch(
        data: Any, batches: Batches, validation: tuple[Any, Batches] | None
    ) -> tuple[dict, dict | None]:
        variables = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        model.reset_metrics()
        *inner, outer = _parts(batches)
        for bounds, last in inner:
            *_, state = part(
                _values(variables), data, batches.indices, bounds, last, None
            )
            _assign(variables, state)
        *logs, state = part(
            _values(variables), data, batches.indices, *outer, validation
        )
        _assign(variables, state)
        return tuple(logs)

    return epoch


def make_validation(model: keras.Model, keep: bool = True) -> Callable:
    """Returns `(data, batches) -> logs`, which keeps what steps do to state."""
    test_step = _compiled(model.test_step)

    @jax.jit
    def part(state: State, data: Any, batches: Batches) -> tuple[dict, State]:
        return _evaluation(model, test_step, state, data, batches)

    def validation(data: Any, batches: Batches) -> dict:
        variables = _testing_variables(model)
        logs, state = part(_values(variables), data, batches)
        if keep:
            _assign(variables, state)
        else:
            model.reset_metrics()
        return logs

    return validation


def make_evaluation(model: keras.Model) -> Callable:
    """Returns `(data, batches) -> logs`, which leaves the model as it was."""
    return make_validation(model, keep=False)


def _compiled(step: Callable) -> Callable:
    @jax.jit
    def compiled(state: State, batch: Any) -> tuple[Any, State]:
        logs, stepped = step(state, batch)
        # As assigning to the variables would.
        stepped = tuple(
            [jnp.asarray(v, old.dtype) for v, old in zip(*pair, strict=True)]
            for pair in zip(stepped, state, strict=True)
        )
        return jax.tree.map(jnp.asarray, logs), stepped

    return compiled


def _parts(batches: Batches) -> Iterator[tuple[tuple, np.ndarray | None]]:
    """Yields bounds of full batches, and the partial batch after them.

    Compiled shapes are static: a part ends with a partial batch. Mostly that is
    the end of the epoch, but with `steps_per_epoch` a pass can end before it.
    """
    indices, sizes = batches
    sizes = sizes[: np.count_nonzero(sizes)]
    start = 0
    for i in np.flatnonzero(sizes < indices.shape[1]):
        yield (start, int(i)), indices[i, : sizes[i]]
        start = int(i) + 1
    if start < len(sizes):
        yield (start, len(sizes)), None


def _evaluation(
    model: keras.Model,
    test_step: Callable,
    state: State,
    data: Any,
    batches: Batches,
) -> tuple[dict, State]:
    with _scope(model, state) as scope:
        model.reset_metrics()
    metrics = [scope.get_current_value(v) for v in model.metrics_variables]
    full, partial = divmod(num_samples(data), batches.indices.shape[1])
    last = batches.indices[-1, :partial] if partial else None
    logs, state = _loop(
        test_step, (*state[:2], metrics), data, batches.indices, (0, full), last
    )
    with _scope(model, state):
        return reported(model, logs), state


def _loop(
    step: Callable,
    state: State,
    data: Any,
    indices: Any,
    bounds: tuple[int, int],
    last: Any,
) -> tuple[Any, State]:
    """Steps through full batches, then one partial; returns the last logs."""

    def take(rows: Any) -> Any:
        return tree.map_structure(
            lambda a: None if a is None else jnp.take(a, rows, 0, mode="clip"),
            data,
        )

    state = tuple(map(list, state))
    if num_samples(data) < indices.shape[1]:
        return step(state, take(last))
    shapes, _ = jax.eval_shape(step, state, take(indices[0]))
    nothing = jax.tree.map(lambda log: jnp.zeros(log.shape, log.dtype), shapes)
    logs, state = jax.lax.fori_loop(
        *bounds,
        lambda i, carry: step(carry[1], take(indices[i])),
        (nothing, state),
    )
    return (logs, state) if last is None else step(state, take(last))


def _testing_variables(model: keras.Model) -> tuple[list, ...]:
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.metrics_variables,
    )


def _values(variables: tuple[list, ...]) -> State:
    return tuple([v.value for v in group] for group in variables)


def _assign(variables: tuple[list, ...], state: State) -> None:
    for group, values in zip(variables, state, strict=True):
        for variable, value in zip(group, values, strict=True):
            variable.assign(value)


def _scope(model: keras.Model, state: State) -> keras.StatelessScope:
    """A scope in which the model's variables have the values in `state`."""
    pairs = zip(_testing_variables(model), state, strict=True)
    return keras.StatelessScope(
        state_mapping=[
            pair for group in pairs for pair in zip(*group, strict=True)
        ]
    )
