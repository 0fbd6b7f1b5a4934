"""Epochs as one `tf.function`: a `while` loop over Keras' own steps."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import tree

from ._batches import Batches, num_samples
from ._logs import reported


def why_not(model: keras.Model) -> str | None:
    """Why TensorFlow cannot compile an epoch of this model."""
    if tf.config.functions_run_eagerly():
        return "`tf.config.run_functions_eagerly` is on"
    strategy = model.distribute_strategy
    if tf.distribute.has_strategy() or (
        strategy is not tf.distribute.get_strategy()
    ):
        return f"the model trains under `{type(strategy).__name__}`"
    return None


def prepare(model: keras.Model, data: Any, batch_size: int) -> None:
    """Creates what variables are missing: what creates some is traced twice."""
    # Private, because nothing public builds compiled metrics and losses.
    model._symbolic_build(
        data_batch=tree.map_structure(
            lambda a: None if a is None else a[:batch_size], data
        )
    )


def make_epoch(model: keras.Model) -> Callable:
    """Returns `(data, batches, validation) -> (logs, validation's logs)`."""
    train_step = _compiled(model, model.train_step)
    test_step = _compiled(model, model.test_step)

    @tf.function(autograph=False)
    def epoch(
        data: Any, batches: Batches, validation: tuple[Any, Batches] | None
    ) -> tuple[dict, dict | None]:
        # Traced first, so that there are metrics to reset.
        _trace(train_step, data, batches)
        model.reset_metrics()
        logs = _loop(model, train_step, data, batches)
        if validation is None:
            return logs, None
        return logs, _evaluation(model, test_step, *validation)

    return _in_order(epoch)


def make_validation(model: keras.Model) -> Callable:
    """Returns `(data, batches) -> logs`, which keeps what steps do to state."""
    test_step = _compiled(model, model.test_step)

    @tf.function(autograph=False)
    def validation(data: Any, batches: Batches) -> dict:
        return _evaluation(model, test_step, data, batches)

    return validation


def make_evaluation(model: keras.Model) -> Callable:
    """Returns `(data, batches) -> logs`, which leaves the model as it was."""
    test_step = _compiled(model, model.test_step)

    @tf.function(autograph=False)
    def evaluation(data: Any, batches: Batches) -> dict:
        # Traced first, so that there are variables to keep.
        _trace(test_step, data, batches)
        variables = model.non_trainable_variables
        kept = [tf.identity(variable.value) for variable in variables]
        logs = _evaluation(model, test_step, data, batches)
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)
        model.reset_metrics()
        return logs

    return evaluation


def _in_order(epoch: Callable) -> Callable:
    """Has all reads of a weight stay before its update.

    TensorFlow's dependency optimization may drop what orders the two where no
    value does: with a loss that is linear in the prediction, such as a
    Wasserstein critic's, a layer's gradient was then taken through the layer
    above as it is after the update.
    """

    def ordered(*arguments: Any) -> Any:
        options = tf.config.optimizer
        name = "dependency_optimization"
        before = options.get_experimental_options().get(name, True)
        options.set_experimental_options({name: False})
        try:
            return epoch(*arguments)
        finally:
            options.set_experimental_options({name: before})

    return ordered


def _compiled(model: keras.Model, step: Callable) -> Any:
    return tf.function(
        step,
        autograph=False,
        jit_compile=model.jit_compile,
        reduce_retracing=True,
    )


def _evaluation(
    model: keras.Model, test_step: Any, data: Any, batches: Batches
) -> dict:
    # Traced first, so that there are metrics to reset.
    _trace(test_step, data, batches)
    model.reset_metrics()
    return _loop(model, test_step, data, batches)


def _loop(model: keras.Model, step: Any, data: Any, batches: Batches) -> dict:
    """Steps through the batches; returns what `fit` would report."""
    outputs = _trace(step, data, batches)
    nothing = tree.map_structure(
        lambda log: tf.zeros([size or 0 for size in log.shape], log.dtype),
        outputs,
    )
    # `fit` feeds tuples where it was given lists.
    data = tree.lists_to_tuples(data)
    partial = _has_partial(data, batches)
    indices, sizes = map(tf.convert_to_tensor, batches)
    steps = tf.math.count_nonzero(sizes, dtype="int32")

    def body(i: tf.Tensor, _: Any) -> tuple[tf.Tensor, Any]:
        rows = indices[i, : sizes[i]] if partial else indices[i]
        return i + 1, step(
            tree.map_structure(
                lambda a: None if a is None else tf.gather(a, rows), data
            )
        )

    _, logs = tf.while_loop(
        lambda i, _: i < steps,
        body,
        (tf.constant(0), nothing),
        shape_invariants=(
            tf.TensorShape([]),
            tree.map_structure(lambda log: log.shape, outputs),
        ),
        parallel_iterations=1,
    )
    return reported(model, logs)


def _trace(step: Any, data: Any, batches: Batches) -> Any:
    """Traces `step` for these batches; returns the structure of its logs."""
    # As in `fit`, the batch size is unknown where the last batch is partial.
    size = batches.indices.shape[1]
    if _has_partial(data, batches):
        size = None
    specs = tree.map_structure(
        lambda a: (
            None if a is None else tf.TensorSpec([size, *a.shape[1:]], a.dtype)
        ),
        tree.lists_to_tuples(data),
    )
    return step.get_concrete_function(specs).structured_outputs


def _has_partial(data: Any, batches: Batches) -> bool:
    return num_samples(data) % batches.indices.shape[1] != 0
