"""Which models and arguments need Keras' own `fit`, and why."""

from typing import Any

import keras
from keras import callbacks as keras_callbacks
from keras import tree

from ._batches import is_array, leaves

_BATCH_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)


def why_plain_fit(
    model: keras.Model,
    x: Any = None,
    y: Any = None,
    *,
    callbacks: Any = None,
    validation_data: Any = None,
    shuffle: Any = True,
    class_weight: Any = None,
    sample_weight: Any = None,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    **arguments: Any,
) -> str | None:
    """Says why `fit_in_memory` would hand these arguments to `model.fit`.

    Use it to learn beforehand whether an epoch will be one compiled call. It
    looks only: nothing is built, traced or changed.

    Args:
        model: A compiled `keras.Model`.
        x: Input data, as for `fit`.
        y: Target data, as for `fit`.
        callbacks: As for `fit`.
        validation_data: As for `fit`.
        shuffle: As for `fit_in_memory`.
        class_weight: As for `fit`.
        sample_weight: As for `fit`.
        steps_per_epoch: As for `fit`.
        validation_steps: As for `fit`.
        **arguments: The remaining arguments of `fit`, which never matter.

    Returns:
        A clause such as "`class_weight` is given", or `None` if epochs will be
        compiled.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse", run_eagerly=True)
    >>> why_plain_fit(model, keras.ops.ones((4, 2)), keras.ops.ones((4, 1)))
    'the model runs eagerly'
    """
    del arguments
    reason = why_not_compiled(
        model, ("fit", "make_train_function"), x, y, sample_weight
    )
    if reason is not None:
        return reason
    if validation_data is not None:
        x, y, weights = keras.utils.unpack_x_y_sample_weight(validation_data)
        reason = why_not_compiled(
            model,
            ("evaluate", "make_test_function"),
            x,
            y,
            weights,
            prefix="validation ",
        )
        if reason is not None:
            return reason
    if class_weight is not None:
        return "`class_weight` is given"
    if validation_steps is not None:
        return "`validation_steps` is given"
    if isinstance(shuffle, str):
        return f'`shuffle="{shuffle}"` orders batches, not samples'
    if steps_per_epoch and model.steps_per_execution != 1:
        return "`steps_per_epoch` goes with `steps_per_execution`"
    if keras.config.max_epochs() or keras.config.max_steps_per_epoch():
        return "`keras.config` limits epochs or steps"
    for callback in callback_list(callbacks):
        for hook in _BATCH_HOOKS:
            if overrides(callback, hook):
                return f"`{type(callback).__name__}` overrides `{hook}`"
    return None


def why_not_compiled(
    model: keras.Model,
    methods: tuple[str, ...],
    x: Any,
    y: Any,
    sample_weight: Any,
    prefix: str = "",
) -> str | None:
    """Why no loop over these arrays that replaces `methods` can be compiled."""
    if keras.config.backend() == "tensorflow":
        from ._tensorflow import why_not
    elif keras.config.backend() == "jax":
        from ._jax import why_not
    else:
        return f"the {keras.config.backend()} backend compiles no loops"
    for method in methods:
        # `__func__`, so that an assignment to the instance is noticed, too.
        found = getattr(getattr(model, method), "__func__", None)
        if found is not getattr(keras.Model, method):
            return f"`{type(model).__name__}` overrides `{method}`"
    if model.run_eagerly:
        return "the model runs eagerly"
    named = {"x": x, "y": y, "sample_weight": sample_weight}
    for name, arrays in named.items():
        for leaf in leaves(arrays):
            if not is_array(leaf):
                return (
                    f"{prefix}`{name}` is not made of dense numeric arrays, "
                    f"it holds a `{type(leaf).__name__}`"
                )
    if not leaves(x):
        return f"{prefix}`x` holds no array"
    return why_not(model)


def callback_list(callbacks: Any) -> list[keras_callbacks.Callback]:
    """The callbacks in whatever form `fit` takes them."""
    if isinstance(callbacks, keras_callbacks.CallbackList):
        return list(callbacks.callbacks)
    return tree.flatten(callbacks) if callbacks else []


def overrides(callback: keras_callbacks.Callback, hook: str) -> bool:
    """Whether calling `hook` may do anything in the middle of `fit`."""
    # Keras' progress bar is content to be told at the end of the epoch.
    idle = [keras_callbacks.Callback, keras_callbacks.ProgbarLogger]
    if getattr(callback, "save_freq", None) == "epoch":
        # These override batch hooks, only to return from them at once.
        idle += [
            keras_callbacks.ModelCheckpoint,
            keras_callbacks.BackupAndRestore,
        ]
    found = getattr(getattr(callback, hook), "__func__", None)
    return all(found is not getattr(kind, hook) for kind in idle)
