import re

import keras
import numpy as np
import pytest
from keras import ops
from scipy import optimize

from keras_regimen.callbacks import EarlyStopping
from keras_regimen.custom_models import FullBatchModel
from keras_regimen.custom_optimizers import (
    BFGS,
    LBFGS,
    BacktrackingLineSearch,
    NonlinearConjugateGradient,
    StrongWolfe,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype("float32")
Y = (X @ [1, -1, 2] + 0.3 * RNG.normal(size=40) > 0).astype("float32")[:, None]


def logistic(penalty=0.1):
    return keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(
                1,
                "sigmoid",
                kernel_regularizer=keras.regularizers.L2(penalty),
                kernel_initializer="zeros",
            ),
        ]
    )


def compiled(net, optimizer=None, **arguments):
    chunk_size = arguments.pop("chunk_size", None)
    model = FullBatchModel(net, chunk_size=chunk_size)
    model.compile(
        optimizer=optimizer or LBFGS(),
        loss=arguments.pop("loss", "binary_crossentropy"),
        **arguments,
    )
    return model


def penalized_loss(parameters, weights=1.0, penalty=0.1):
    """The same loss in NumPy, in float64."""
    kernel, bias = parameters[:3], parameters[3]
    logits = (X @ kernel + bias) * (2 * Y[:, 0] - 1)
    losses = np.log1p(np.exp(-logits))
    return np.mean(weights * losses) + penalty * kernel @ kernel


def parameters(model):
    return np.concatenate([w.ravel() for w in model.get_weights()])


def test_fit_finds_the_optimum_that_scipy_finds():
    model = compiled(logistic(), metrics=["accuracy"])
    history = model.fit(X, Y, epochs=30, verbose=0)
    best = optimize.minimize(penalized_loss, np.zeros(4))
    np.testing.assert_allclose(parameters(model), best.x, atol=2e-3)
    loss = history.history["loss"]
    assert loss[-1] == pytest.approx(best.fun, rel=1e-5)
    assert all(np.diff(loss) <= 1e-7)
    evaluated = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(loss[-1], rel=1e-5)
    assert evaluated["accuracy"] == pytest.approx(
        history.history["accuracy"][-1]
    )


def test_sample_weights_count():
    weights = np.linspace(0, 2, 40).astype("float32")
    model = compiled(logistic())
    model.fit(X, Y, sample_weight=weights, epochs=30, verbose=0)
    best = optimize.minimize(penalized_loss, np.zeros(4), args=(weights,))
    np.testing.assert_allclose(parameters(model), best.x, atol=2e-3)


def test_evaluations_are_counted():
    calls = []

    class Counted(keras.losses.Loss):
        def call(self, y_true, y_pred):
            calls.append(1)
            return ops.mean((y_true - y_pred) ** 2, axis=-1)

    model = compiled(logistic(), loss=Counted(), run_eagerly=True)
    # `fit` calls it before, to build what there is to build.
    clear = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: calls.clear()
    )
    history = model.fit(X, Y, epochs=5, callbacks=[clear], verbose=0)
    assert sum(history.history["evaluations"]) == len(calls)


@pytest.mark.parametrize("chunk_size", [7, 40])
def test_chunks_give_the_weights_of_all_samples_at_once(chunk_size):
    whole, parts = (
        compiled(logistic(), chunk_size=size, metrics=["accuracy"])
        for size in (None, chunk_size)
    )
    weights = np.linspace(0.5, 1.5, 40).astype("float32")
    histories = [
        model.fit(X, Y, sample_weight=weights, epochs=4, verbose=0).history
        for model in (whole, parts)
    ]
    np.testing.assert_allclose(
        parameters(parts), parameters(whole), rtol=1e-4, atol=1e-5
    )
    assert histories[0].keys() == histories[1].keys()
    for name, curve in histories[0].items():
        np.testing.assert_allclose(histories[1][name], curve, rtol=1e-4)


def test_chunks_read_from_a_file_a_part_at_a_time(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    model, reference = compiled(logistic(), chunk_size=16), compiled(logistic())
    model.fit(mapped, Y, epochs=3, verbose=0)
    reference.fit(X, Y, epochs=3, verbose=0)
    np.testing.assert_allclose(
        parameters(model), parameters(reference), rtol=1e-4, atol=1e-5
    )


def test_validation_and_early_stopping_work_as_for_keras():
    model = compiled(logistic(0.0), metrics=["accuracy"])
    stopper = EarlyStopping(monitor="val_loss", patience=2, restore="weights")
    history = model.fit(
        X[:12],
        Y[:12],
        epochs=40,
        validation_data=(X[12:], Y[12:]),
        callbacks=[stopper],
        verbose=0,
    )
    # Twelve separable samples: the training loss has no minimum.
    assert len(history.epoch) < 40
    curve = history.history["val_loss"]
    assert np.argmin(curve) < len(curve) - 1
    validated = model.evaluate(X[12:], Y[12:], verbose=0, return_dict=True)
    assert validated["loss"] == pytest.approx(min(curve), rel=1e-5)
    assert set(history.history) == {
        "loss",
        "evaluations",
        "accuracy",
        "val_loss",
        "val_accuracy",
    }


def test_weights_that_a_callback_changes_are_where_the_next_epoch_starts():
    class Reset(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.set_weights([np.full((3, 1), 9.0), np.full(1, 9.0)])

    model = compiled(logistic(), LBFGS(line_search=StrongWolfe()))
    history = model.fit(X, Y, epochs=25, callbacks=[Reset()], verbose=0)
    best = optimize.minimize(penalized_loss, np.zeros(4))
    assert history.history["loss"][2] > history.history["loss"][1]
    assert history.history["loss"][-1] == pytest.approx(best.fun, rel=1e-5)


@pytest.mark.parametrize("optimizer", [LBFGS, BFGS, NonlinearConjugateGradient])
def test_a_saved_model_goes_on_as_if_nothing_had_been(optimizer, tmp_path):
    model = compiled(logistic(), optimizer())
    model.fit(X, Y, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(X, verbose=0), model.predict(X, verbose=0)
    )
    for each in (model, loaded):
        each.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(parameters(loaded), parameters(model))


def test_the_wrapped_model_shares_the_weights_and_stays_usable():
    net = logistic()
    model = compiled(net)
    model.fit(X, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(
        net.predict(X, verbose=0), model.predict(X, verbose=0)
    )
    net.compile("sgd", "binary_crossentropy")
    net.fit(X, Y, epochs=1, verbose=0)


def test_dropout_and_batch_normalization_train_and_move():
    net = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3, seed=1),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model = compiled(net)
    before = [ops.copy(v.value) for v in net.non_trainable_variables]
    history = model.fit(X, Y, epochs=6, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0]
    moved = [
        not np.array_equal(ops.convert_to_numpy(old), new.numpy())
        for old, new in zip(before, net.non_trainable_variables, strict=True)
    ]
    assert all(moved)  # Mean, variance and the seed.


def test_an_epoch_of_several_steps_is_several_epochs():
    one, many = compiled(logistic()), compiled(logistic())
    history = one.fit(X, Y, epochs=2, steps_per_epoch=3, verbose=0)
    reference = many.fit(X, Y, epochs=6, verbose=0)
    np.testing.assert_array_equal(parameters(one), parameters(many))
    assert history.history["loss"] == reference.history["loss"][2::3]
    assert sum(history.history["evaluations"]) == sum(
        reference.history["evaluations"]
    )


def test_training_stops_where_no_step_lowers_the_loss():
    model = compiled(logistic(1.0), BFGS())
    history = model.fit(X, Y, epochs=200, verbose=0)
    assert len(history.epoch) < 200
    assert history.params["stopped"]


def test_a_failed_search_warns_and_loses_nothing():
    class Cliff(keras.losses.Loss):
        """Finite at the start alone."""

        def call(self, y_true, y_pred):
            there = ops.max(ops.abs(y_pred - 0.5)) > 0
            return ops.where(there, np.nan, y_pred[:, 0])

    model = compiled(
        logistic(),
        LBFGS(line_search=BacktrackingLineSearch(max_evaluations=4)),
        loss=Cliff(),
    )
    with pytest.warns(UserWarning, match="loss is not finite"):
        model.fit(X, Y, epochs=5, verbose=0)
    np.testing.assert_array_equal(parameters(model), np.zeros(4))


def test_mixed_precision_trains_float32_weights():
    keras.config.set_dtype_policy("mixed_bfloat16")
    net = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model = compiled(net, loss="mse")
    history = model.fit(X, X[:, :1], epochs=8, verbose=0)
    assert history.history["loss"][-1] < 1e-2 < history.history["loss"][0]
    assert {w.dtype for w in net.weights} == {"float32"}


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"batch_size": 8}, "batch_size=8"),
        ({"class_weight": {0: 1.0}}, "class_weight={0: 1.0}"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0"),
        ({"x": [[1.0, 2.0, 3.0]] * 40}, "`float`"),
    ],
)
def test_fit_refuses_what_it_cannot_do(arguments, received):
    model = compiled(logistic())
    with pytest.raises(ValueError, match=re.escape(received)):
        model.fit(**{"x": X, "y": Y, "verbose": 0, **arguments})


def test_a_sum_is_no_mean_of_chunks():
    loss = keras.losses.MeanSquaredError(reduction="sum")
    model = compiled(logistic(), chunk_size=8, loss=loss)
    with pytest.raises(ValueError, match="reduction='sum'"):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize("optimizer", ["adam", keras.optimizers.SGD()])
def test_a_first_order_optimizer_is_refused(optimizer):
    model = FullBatchModel(logistic())
    with pytest.raises(
        ValueError, match=r"needs a closure optimizer.*Received"
    ):
        model.compile(optimizer=optimizer, loss="mse")


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"model": 3}, "model=3"),
        ({"model": logistic(), "chunk_size": 0}, "chunk_size=0"),
    ],
)
def test_bad_arguments_say_what_was_received(arguments, received):
    with pytest.raises(ValueError, match=received):
        FullBatchModel(**arguments)
