import re

import keras
import numpy as np
import pytest
from keras import layers

from keras_regimen.custom_models import fit_in_memory, why_plain_fit

BACKEND = keras.config.backend()
X = np.ones((8, 2), "float32")
Y = np.zeros((8, 1), "float32")
callbacks = keras.callbacks


class OwnFit(keras.Sequential):
    def fit(self, x, y, epochs=1):
        self.seen = x, y, epochs
        return super().fit(x, y, epochs=epochs, verbose=0)


class OwnFunction(keras.Sequential):
    def make_train_function(self, force=False):
        super().make_train_function(force)


class OwnEvaluate(keras.Sequential):
    def evaluate(self, *args, **kwargs):
        return super().evaluate(*args, **kwargs)


class PerBatch(callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.batches = batch + 1


def build(kind=keras.Sequential, **arguments):
    model = kind([keras.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse", **arguments)
    return model


@pytest.mark.skipif(BACKEND != "torch", reason="about PyTorch")
def test_pytorch_is_a_reason():
    assert "torch backend" in why_plain_fit(build(), X, Y)


if BACKEND == "torch":
    pytest.skip("The other reasons come second there", allow_module_level=True)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"x": {"a": X, "b": None}, "y": [Y, Y]},
        {"x": keras.ops.ones((8, 2)), "sample_weight": Y[:, 0]},
        {"validation_data": (X, Y), "callbacks": callbacks.EarlyStopping()},
        {"callbacks": [callbacks.ProgbarLogger(), callbacks.CSVLogger("f")]},
        {"callbacks": [callbacks.ModelCheckpoint("f.keras")]},
        {"callbacks": [callbacks.BackupAndRestore("folder")]},
        {"callbacks": [callbacks.LambdaCallback(on_epoch_end=print)]},
        {"steps_per_epoch": 2, "shuffle": np.random.default_rng(0)},
        {"epochs": 3, "verbose": 0, "batch_size": 2},
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_no_reason(arguments):
    assert why_plain_fit(build(), **{"x": X, "y": Y, **arguments}) is None


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"x": None, "y": None}, "`x` holds no array"),
        ({"x": iter([(X, Y)]), "y": None}, "`x` is not made of dense"),
        ({"x": np.array(["a"] * 8)}, "`x` is not.*`ndarray`"),
        ({"x": [[0.0]] * 8}, "`x` is not .* `float`"),
        ({"y": [0.0] * 8}, "`y` is not .* `float`"),
        ({"validation_data": iter(())}, "validation `x` is not .*iterator`"),
        ({"class_weight": {0: 1.0}}, "`class_weight`"),
        ({"validation_steps": 1}, "`validation_steps`"),
        ({"shuffle": "batch"}, '`shuffle="batch"`'),
        (
            {"callbacks": PerBatch()},
            "`PerBatch` overrides `on_train_batch_end`",
        ),
        ({"callbacks": [[PerBatch()]]}, "`PerBatch`"),
        ({"callbacks": callbacks.CallbackList([PerBatch()])}, "`PerBatch`"),
        (
            {
                "callbacks": [
                    callbacks.LambdaCallback(on_test_batch_begin=print)
                ]
            },
            "`LambdaCallback` overrides `on_test_batch_begin`",
        ),
        (
            {"callbacks": [callbacks.ModelCheckpoint("f.keras", save_freq=2)]},
            "`ModelCheckpoint` overrides",
        ),
        ({"callbacks": [callbacks.TerminateOnNaN()]}, "`TerminateOnNaN`"),
    ],
)
def test_arguments_that_are_a_reason(arguments, reason):
    arguments = {"x": X, "y": Y, **arguments}
    assert_matches(why_plain_fit(build(), **arguments), reason)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (lambda: build(OwnFit), "`OwnFit` overrides `fit`"),
        (lambda: build(OwnFunction), "overrides `make_train_function`"),
        (lambda: build(run_eagerly=True), "runs eagerly"),
    ],
)
def test_models_that_are_a_reason(model, reason):
    assert_matches(why_plain_fit(model(), X, Y), reason)


def test_evaluation_of_ones_own_is_a_reason_with_validation_alone():
    model = build(OwnEvaluate)
    assert why_plain_fit(model, X, Y) is None
    found = why_plain_fit(model, X, Y, validation_data=(X, Y))
    assert found == "`OwnEvaluate` overrides `evaluate`"


def test_a_method_assigned_to_the_model_is_a_reason():
    model = build()
    model.fit = lambda *args, **kwargs: None
    assert why_plain_fit(model, X, Y) == "`Sequential` overrides `fit`"


def test_several_steps_per_execution_are_a_reason_with_steps_per_epoch():
    model = build(steps_per_execution=2)
    assert why_plain_fit(model, X, Y) is None
    found = why_plain_fit(model, X, Y, steps_per_epoch=3)
    assert_matches(found, "`steps_per_execution`")


def test_limits_set_for_debugging_are_a_reason():
    keras.config.set_max_epochs(1)
    try:
        assert_matches(why_plain_fit(build(), X, Y), "`keras.config`")
    finally:
        keras.config.set_max_epochs(None)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="about TensorFlow")
def test_strategies_eager_functions_and_sparse_tensors_are_reasons():
    import tensorflow as tf

    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = build()
        assert_matches(why_plain_fit(build(), X, Y), "OneDeviceStrategy")
    assert_matches(why_plain_fit(model, X, Y), "OneDeviceStrategy")
    sparse = tf.sparse.from_dense(X)
    assert_matches(why_plain_fit(build(), sparse, Y), "`SparseTensor`")
    ragged = tf.ragged.constant([[1.0], []])
    assert_matches(why_plain_fit(build(), ragged, Y), "`RaggedTensor`")
    tf.config.run_functions_eagerly(True)
    try:
        assert_matches(why_plain_fit(build(), X, Y), "run_functions_eagerly")
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.skipif(BACKEND != "jax", reason="about JAX")
def test_distributions_and_uncompiled_models_are_reasons():
    model = build(jit_compile=False)
    assert_matches(why_plain_fit(model, X, Y), "jit_compile=False")
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        assert_matches(why_plain_fit(build(), X, Y), "keras.distribution")
    finally:
        keras.distribution.set_distribution(None)


def test_plain_fit_is_announced_and_does_what_was_asked_for():
    model = build()
    reason = "`PerBatch` overrides `on_train_batch_end`"
    with pytest.warns(UserWarning, match=f"plain `model.fit`: {reason}"):
        history = fit_in_memory(
            model, X, Y, batch_size=2, callbacks=[PerBatch()], verbose=0
        )
    assert history.params["plain_fit"] == reason
    assert model.batches == 4


def test_a_fit_of_ones_own_gets_what_was_given_and_nothing_else():
    model = build(OwnFit)
    with pytest.warns(UserWarning, match="overrides `fit`"):
        fit_in_memory(model, X, Y, epochs=2)
    x, y, epochs = model.seen
    assert x is X
    assert y is Y
    assert epochs == 2


def assert_matches(found, pattern):
    assert re.search(pattern, found), found
