"""`fit_in_memory` against `model.fit`, and against batches fed by hand."""

import contextlib
import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers

from keras_regimen.custom_models import fit_in_memory

BACKEND = keras.config.backend()
needs_compiled = pytest.mark.skipif(
    BACKEND == "torch", reason="PyTorch compiles no epochs"
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(23, 6)).astype("float32")
Y = RNG.integers(0, 3, 23)
WEIGHTS = RNG.uniform(0.5, 2, 23).astype("float32")
X_VAL = RNG.normal(size=(10, 6)).astype("float32")
Y_VAL = RNG.integers(0, 3, 10)
WEIGHTS_VAL = RNG.uniform(0.5, 2, 10).astype("float32")


@pytest.fixture(autouse=BACKEND == "jax")
def quick_compilation(request):
    """Spares XLA's optimizations where accuracy is not what is tested."""
    import jax

    thorough = request.function is test_training_equals_fit
    jax.config.update("jax_disable_most_optimizations", not thorough)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


def fit(model, *args, **kwargs):
    """`fit_in_memory`, which on PyTorch must say that it is plain `fit`."""
    expected = contextlib.nullcontext()
    if BACKEND == "torch":
        expected = pytest.warns(UserWarning, match="the torch backend")
    with expected:
        return fit_in_memory(model, *args, **kwargs)


def mlp(optimizer="sgd", **compile_arguments):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return compiled(model, optimizer, **compile_arguments)


def compiled(model, optimizer, **arguments):
    arguments.setdefault("loss", "sparse_categorical_crossentropy")
    arguments.setdefault("metrics", ["accuracy"])
    model.compile(optimizer, **arguments)
    return model


def unbuilt():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [layers.Dense(4, activation="tanh"), layers.Dense(3)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(model, keras.optimizers.Adam(0.01), loss=loss)


def cnn():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Reshape((3, 2, 1)),
            layers.Conv2D(3, 2, padding="same", kernel_constraint="max_norm"),
            layers.SpatialDropout2D(0.2),
            layers.MaxPooling2D((1, 2)),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return compiled(model, keras.optimizers.SGD(0.1, momentum=0.9))


def lstm():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Reshape((3, 2)),
            layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )
    return compiled(
        model, keras.optimizers.AdamW(0.01, use_ema=True, ema_momentum=0.5)
    )


def scheduled():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=10)
    return mlp(
        keras.optimizers.Adam(schedule, clipnorm=0.5, epsilon=1e-3),
        weighted_metrics=["sparse_categorical_crossentropy"],
    )


def linear(optimizer="sgd", **compile_arguments):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(3, activation="softmax")]
    )
    return compiled(model, optimizer, **compile_arguments)


def accumulating():
    return linear(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))


def loss_scaled():
    keras.config.set_dtype_policy("mixed_float16")
    model = linear()
    assert "LossScale" in type(model.optimizer).__name__
    return model


def two_outputs():
    keras.utils.set_random_seed(1)
    inputs = {
        "a": keras.Input((6,), name="a"),
        "b": keras.Input((6,), name="b"),
    }
    hidden = layers.Concatenate()([inputs["a"], inputs["b"]])
    outputs = {
        "label": layers.Dense(3, activation="softmax", name="label")(hidden),
        "value": layers.Dense(6, name="value")(hidden),
    }
    return compiled(
        keras.Model(inputs, outputs),
        keras.optimizers.SGD(0.1),
        loss={"label": "sparse_categorical_crossentropy", "value": "mse"},
        loss_weights={"label": 1.0, "value": 0.5},
        metrics={"label": ["accuracy"], "value": ["mae"]},
    )


def values(variables):
    return [keras.ops.convert_to_numpy(v).astype("float64") for v in variables]


def assert_same(ours, history, theirs, expected):
    """Equal in everything that training changes, to float accuracy."""
    assert history.history.keys() == expected.history.keys()
    assert history.epoch == expected.epoch
    for name, curve in expected.history.items():
        np.testing.assert_allclose(
            history.history[name], curve, rtol=1e-6, atol=1e-7, err_msg=name
        )
    # `variables` has the seed generators, which `weights` lacks.
    assert_close(
        values(ours.variables + ours.optimizer.variables),
        values(theirs.variables + theirs.optimizer.variables),
    )


def assert_close(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=1e-6)


def assert_fits_like_keras(build, *args, **kwargs):
    kwargs = {"batch_size": 5, "epochs": 3, "verbose": 0, **kwargs}
    kwargs.setdefault("shuffle", False)
    callbacks = kwargs.pop("callbacks", list)
    ours, theirs = build(), build()
    assert ours is not theirs
    # On PyTorch some of Keras' layers draw from the global state.
    keras.utils.set_random_seed(2)
    expected = theirs.fit(*args, callbacks=callbacks(), **kwargs)
    keras.utils.set_random_seed(2)
    history = fit(ours, *args, callbacks=callbacks(), **kwargs)
    assert_same(ours, history, theirs, expected)
    return ours, history


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (unbuilt, 23),  # Four batches of 5, and one of 3.
        (cnn, 20),
        (lstm, 20),
        (scheduled, 23),
        (accumulating, 23),
        (loss_scaled, 20),
    ],
)
def test_training_equals_fit(build, size):
    ours, history = assert_fits_like_keras(
        build,
        X[:size],
        Y[:size],
        sample_weight=WEIGHTS[:size],
        validation_data=(X_VAL, Y_VAL, WEIGHTS_VAL),
    )
    assert set(history.history) >= {"loss", "val_loss", "accuracy"}
    assert int(ours.optimizer.iterations) > 0
    if BACKEND != "torch":
        assert history.params["plain_fit"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        {"batch_size": 1000},
        {"batch_size": None, "steps_per_epoch": 4, "validation_split": 0.3},
        {"epochs": 0},
        {
            "initial_epoch": 1,
            "validation_data": [X_VAL, Y_VAL],
            "validation_batch_size": 4,
            "validation_freq": [1, 3],
        },
        {"validation_data": (X_VAL, Y_VAL), "validation_freq": 2},
    ],
    ids=lambda arguments: "-".join(arguments),
)
def test_arguments_mean_what_they_mean_to_fit(arguments):
    assert_fits_like_keras(linear, X, Y, **arguments)


# A pass has four updates, or five with the partial one.
@pytest.mark.parametrize(
    ("size", "steps", "updates"),
    [(20, 2, 8), (23, 9, 20), (23, 2, 2 + 2 + 1 + 2)],
)
@pytest.mark.filterwarnings("ignore:.*(ran out of data|data ended):UserWarning")
def test_steps_per_epoch_goes_through_the_data_as_fit_does(
    size, steps, updates
):
    ours, _ = assert_fits_like_keras(
        linear, X[:size], Y[:size], steps_per_epoch=steps, epochs=4
    )
    assert int(ours.optimizer.iterations) == updates


@needs_compiled
def test_epoch_cut_short_is_announced():
    with pytest.warns(UserWarning, match="ended before.*steps_per_epoch=9"):
        fit(linear(), X, Y, batch_size=5, steps_per_epoch=9, verbose=0)


def test_inputs_and_outputs_by_name():
    x = {"a": X, "b": X[::-1].astype("float64")}
    y = {"label": Y, "value": X}
    weights = {"label": WEIGHTS, "value": WEIGHTS[::-1].copy()}
    _, history = assert_fits_like_keras(
        two_outputs, x, y, sample_weight=weights, validation_split=0.3
    )
    assert {"label_accuracy", "val_value_mae"} <= set(history.history)


def test_inputs_and_outputs_by_position():
    def build():
        keras.utils.set_random_seed(1)
        inputs = [keras.Input((6,)), keras.Input((6,))]
        hidden = layers.Add()(inputs)
        outputs = [layers.Dense(n, name=f"out{n}")(hidden) for n in (2, 1)]
        return compiled(
            keras.Model(inputs, outputs),
            "sgd",
            loss=["mse", "mae"],
            metrics=None,
        )

    y = [X[:, :2], X[:, :1]]
    assert_fits_like_keras(build, [X, X[::-1]], y, sample_weight=WEIGHTS)


class OwnStep(keras.Model):
    """A model with a `train_step` of its own, which logs under `names`."""

    def __init__(self, names):
        super().__init__()
        self.names = names
        self.dense = layers.Dense(3, activation="softmax")

    def call(self, x):
        return self.dense(x)

    if BACKEND == "jax":

        def train_step(self, state, data):
            x, y = data
            logs, state = super().train_step(state, (x / 2, y))
            return self.renamed(x, logs), state

    else:

        def train_step(self, data):
            x, y = data
            return self.renamed(x, super().train_step((x / 2, y)))

    def renamed(self, x, logs):
        return dict(zip(self.names, (logs["loss"] / 2, x[0, 0]), strict=True))


@pytest.mark.parametrize("names", [("halved", "first"), ("loss", "accuracy")])
def test_train_step_of_ones_own_is_the_one_that_trains(names):
    def build():
        keras.utils.set_random_seed(1)
        return compiled(OwnStep(names), "sgd")

    _, history = assert_fits_like_keras(
        build, X, Y, validation_data=(X_VAL, Y_VAL)
    )
    assert set(history.history) == {*names, "val_loss", "val_accuracy"}
    if names == ("halved", "first"):
        # Where names are not the metrics', the logs of the last batch stand.
        np.testing.assert_allclose(history.history["first"], [X[20, 0]] * 3)


class Events(keras.callbacks.Callback):
    """Notes what is called, with what logs, and meddles in training."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_train_begin(self, logs=None):
        self.log.append(("train begins", logs))

    def on_train_end(self, logs=None):
        self.log.append(("train ends", sorted(logs)))

    def on_epoch_begin(self, epoch, logs=None):
        self.log.append(("epoch begins", epoch))

    def on_epoch_end(self, epoch, logs=None):
        result = float(self.model.get_metrics_result()["loss"])
        self.log.append(("epoch ends", epoch, sorted(logs), round(result, 4)))
        self.model.layers[0].bias.assign([epoch, 0, 0])
        self.model.optimizer.learning_rate = 0.1 / (epoch + 1)
        self.model.stop_training = epoch == 2


class ValidationEvents(Events):
    def on_test_begin(self, logs=None):
        self.log.append(("test begins", logs))
        self.kept = self.model.get_weights()
        self.model.layers[-1].bias.assign([1, 2, 3])

    def on_test_end(self, logs=None):
        self.log.append(("test ends", sorted(logs)))
        self.model.set_weights(self.kept)


@pytest.mark.parametrize("kind", [Events, ValidationEvents])
def test_callbacks_see_and_change_what_they_do_in_fit(kind):
    logs = []

    def callbacks():
        logs.append([])
        return [kind(logs[-1])]

    _, history = assert_fits_like_keras(
        linear,
        X,
        Y,
        validation_data=(X_VAL, Y_VAL),
        callbacks=callbacks,
        epochs=9,
    )
    assert history.epoch == [0, 1, 2]
    assert logs[0] == logs[1] != []


def test_keras_callbacks_work(tmp_path):
    def callbacks():
        return [
            keras.callbacks.ReduceLROnPlateau(
                monitor="loss", factor=0.5, patience=0, min_delta=1.0
            ),
            keras.callbacks.EarlyStopping(
                monitor="val_loss",
                min_delta=1.0,
                patience=2,
                restore_best_weights=True,
            ),
            keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
        ]

    ours, history = assert_fits_like_keras(
        linear,
        X,
        Y,
        validation_data=(X_VAL, Y_VAL),
        callbacks=callbacks,
        epochs=9,
    )
    assert history.epoch == [0, 1, 2]
    assert history.history["learning_rate"] == pytest.approx(
        [0.01, 0.01, 0.005]
    )
    if BACKEND != "torch":
        assert history.params["plain_fit"] is None
    saved = keras.saving.load_model(tmp_path / "1.keras")
    for one, other in zip(saved.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_backup_goes_on_where_training_was_cut_off(tmp_path):
    def train(model, interrupted=None):
        def interrupt(epoch, logs):
            if epoch == interrupted:
                raise KeyboardInterrupt

        backup = keras.callbacks.BackupAndRestore(tmp_path)
        stop = keras.callbacks.LambdaCallback(on_epoch_end=interrupt)
        arguments = {"batch_size": 5, "epochs": 4, "shuffle": False}
        return fit(
            model, X, Y, callbacks=[backup, stop], verbose=0, **arguments
        )

    with pytest.raises(KeyboardInterrupt):
        train(linear(), interrupted=1)
    ours = linear()
    history = train(ours)
    assert history.epoch == [2, 3]
    theirs = linear()
    theirs.fit(X, Y, batch_size=5, epochs=4, shuffle=False, verbose=0)
    assert_close(ours.get_weights(), theirs.get_weights())


def test_history_is_the_models_and_a_list_of_callbacks_is_taken_as_it_is():
    model = linear()
    callbacks = keras.callbacks.CallbackList(
        add_history=True, model=model, epochs=2
    )
    history = fit(model, X, Y, callbacks=callbacks, epochs=2, verbose=0)
    assert history is model.history is callbacks._history
    assert history.params["epochs"] == 2
    assert len(history.history["loss"]) == 2


def test_progress_is_shown_by_epoch(capsys):
    history = fit(linear(), X, Y, epochs=2, verbose=2)
    shown = capsys.readouterr().out
    assert "Epoch 1/2" in shown
    assert "Epoch 2/2" in shown
    assert f"loss: {history.history['loss'][1]:.4f}" in shown


def test_interrupt_leaves_a_model_that_goes_on():
    def interrupt(epoch, logs):
        raise KeyboardInterrupt

    model = linear()
    stop = keras.callbacks.LambdaCallback(on_epoch_end=interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(model, X, Y, batch_size=5, callbacks=[stop], verbose=0)
    assert int(model.optimizer.iterations) == 5
    fit(model, X, Y, batch_size=5, verbose=0)
    assert int(model.optimizer.iterations) == 10


def feed_by_hand(model, order):
    for rows in order:
        model.train_on_batch(X[rows], Y[rows])


def passes(count, batch_size=5):
    """Batches of `count` passes, drawn as `fit_in_memory` promises to."""
    rng = np.random.default_rng(7)
    for _ in range(count):
        order = rng.permutation(len(X))
        yield from np.split(order, range(batch_size, len(X), batch_size))


@pytest.mark.parametrize("plain", [False, True])
def test_generator_draws_the_order_of_every_epoch(plain):
    ours, theirs = linear(), linear()
    arguments = {"class_weight": {0: 1.0}} if plain else {}
    expected = contextlib.nullcontext()
    if plain or BACKEND == "torch":
        expected = pytest.warns(UserWarning, match="plain `model.fit`")
    with expected:
        fit_in_memory(
            ours,
            X,
            Y,
            batch_size=5,
            epochs=2,
            shuffle=np.random.default_rng(7),
            verbose=0,
            validation_data=(X_VAL, Y_VAL),
            **arguments,
        )
    feed_by_hand(theirs, passes(2))
    assert_close(ours.get_weights(), theirs.get_weights())


def test_generator_fills_epochs_of_any_number_of_updates():
    ours, theirs = linear(), linear()
    # A pass has 5 updates, an epoch 7: both end inside the other.
    history = fit(
        ours,
        X,
        Y,
        batch_size=5,
        epochs=3,
        steps_per_epoch=7,
        shuffle=np.random.default_rng(7),
        verbose=0,
    )
    assert history.params["steps"] == 7
    feed_by_hand(theirs, list(passes(5))[:21])
    assert_close(ours.get_weights(), theirs.get_weights())


def test_shuffle_is_governed_by_the_global_seed():
    model = linear()
    start = model.get_weights()

    def trained(seed):
        model.set_weights(start)
        keras.utils.set_random_seed(seed)
        fit(model, X, Y, batch_size=5, epochs=2, verbose=0)
        return model.get_weights()[0]

    trained(0)  # Keras may draw once more to build the metrics.
    first = trained(3)
    assert np.abs(trained(4) - first).max() > 1e-4
    np.testing.assert_array_equal(trained(3), first)


class Counting(keras.Sequential):
    """Counts how often its loss is traced."""

    traces = 0

    def compute_loss(self, *args, **kwargs):
        self.traces += 1
        return super().compute_loss(*args, **kwargs)


@needs_compiled
def test_nothing_is_traced_twice():
    model = Counting([keras.Input((6,)), layers.Dense(3, activation="softmax")])
    compiled(model, "sgd")
    arguments = {"batch_size": 5, "epochs": 2, "verbose": 0}
    arguments["validation_data"] = (X_VAL, Y_VAL)
    fit(model, X, Y, **arguments)
    traced = model.traces
    assert traced > 0
    before = model.get_weights()[0]
    model.optimizer.learning_rate = 0.0
    fit(model, X[::-1].copy(), Y, **arguments)
    np.testing.assert_array_equal(model.get_weights()[0], before)
    model.set_weights([np.zeros((6, 3)), np.zeros(3)])
    history = fit(model, X, Y, **arguments)
    assert history.history["loss"] == pytest.approx([np.log(3)] * 2)
    assert model.traces == traced


@needs_compiled
def test_epochs_of_varying_phase_are_not_traced_again():
    model = Counting([keras.Input((6,)), layers.Dense(3, activation="softmax")])
    compiled(model, "sgd")
    arguments = {"batch_size": 5, "steps_per_epoch": 7, "verbose": 0}
    arguments["shuffle"] = np.random.default_rng(0)
    fit(model, X, Y, epochs=2, **arguments)
    traced = model.traces
    fit(model, X, Y, epochs=6, **arguments)
    assert model.traces == traced


def test_compiling_again_takes_effect():
    ours, theirs = unbuilt(), unbuilt()
    for model, train in ((ours, fit), (theirs, keras.Model.fit)):
        train(model, X, Y, shuffle=False, verbose=0)
        model.layers[0].trainable = False
        loss = keras.losses.SparseCategoricalCrossentropy(True)
        compiled(model, keras.optimizers.SGD(0.1), loss=loss)
    before = ours.layers[0].get_weights()[0]
    expected = theirs.fit(X, Y, shuffle=False, verbose=0)
    history = fit(ours, X, Y, shuffle=False, verbose=0)
    assert_same(ours, history, theirs, expected)
    np.testing.assert_array_equal(ours.layers[0].get_weights()[0], before)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="no choice elsewhere")
def test_xla_equals_fit_with_xla():
    def build():
        # With dropout: XLA draws other masks for the same seed.
        return mlp(keras.optimizers.SGD(0.1), jit_compile=True)

    assert_fits_like_keras(build, X, Y, validation_data=(X_VAL, Y_VAL))


@needs_compiled
def test_a_model_is_forgotten_with_its_compiled_epochs():
    model = linear()
    fit(model, X, Y, verbose=0)
    gone = weakref.ref(model)
    del model
    keras.utils.clear_session()
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y[:9]}, "same number.*x of 23, y of 9"),
        (
            {"sample_weight": WEIGHTS[:9]},
            "x of 23, y of 23, sample_weight of 9",
        ),
        ({"x": {"a": X, "b": X[:9]}}, "x of 9 and 23, y of 23"),
        ({"x": X[:0], "y": Y[:0]}, "at least one sample.*x of 0"),
        ({"validation_data": (X, Y_VAL)}, "validation x of 23, .*y of 10"),
        ({"batch_size": 0}, "at least 1.*batch_size=0"),
        ({"steps_per_epoch": -1}, "at least 1.*steps_per_epoch=-1"),
        ({"validation_batch_size": 0}, "validation_batch_size=0"),
        ({"validation_split": 1.0}, r"\[0, 1\).*validation_split=1.0"),
        ({"validation_split": float("nan")}, "validation_split=nan"),
        ({"shuffle": 42}, "Generator.*shuffle=42"),
        (
            {"x": [[1.0]] * 23, "shuffle": np.random.default_rng(0)},
            "generator.*dense numeric arrays",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_in_memory(linear(), **{"x": X, "y": Y, "verbose": 0, **arguments})


def test_a_split_must_leave_samples_on_both_sides():
    with pytest.raises(ValueError, match=r"validation_split=0\.999"):
        fit(linear(), X, Y, validation_split=0.999, verbose=0)


def test_a_model_must_be_compiled():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="compile"):
        fit_in_memory(model, X, Y)


@needs_compiled
def test_no_gradient_is_taken_through_an_updated_layer():
    # The loss is linear in the prediction, so that no value orders the upper
    # layer's update after its use for the lower layer's gradient. TensorFlow's
    # graph optimization had every other model take the updated one.
    targets = RNG.normal(size=(23, 2)).astype("float32")
    wrong = []
    for seed in range(8):
        keras.utils.set_random_seed(seed)
        model = keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(4, use_bias=False),
                layers.Dense(2, use_bias=False),
            ]
        )
        model.compile(
            keras.optimizers.SGD(1.0),
            lambda y, p: keras.ops.sum(y * p, axis=-1),
            jit_compile=False if BACKEND == "tensorflow" else "auto",
        )
        lower, upper = model.get_weights()
        fit(model, X, targets, batch_size=23, verbose=0)
        expected = lower - X.T @ (targets / 23 @ upper.T)
        if not np.allclose(model.get_weights()[0], expected, atol=1e-5):
            wrong.append(seed)
    assert wrong == []
