import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import TrainingMethod, fit_in_memory

BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype("float32")
Y = RNG.integers(0, 3, 40)
WEIGHTS = RNG.random(40).astype("float32")


def net(**arguments):
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, kernel_regularizer="l2", **arguments),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3, seed=1),
            layers.Dense(3, "softmax", dtype="float32"),
        ]
    )


def compiled(model, **arguments):
    model.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **arguments,
    )
    return model


def trained(model, fit=keras.Model.fit):
    return fit(
        model,
        X,
        Y,
        sample_weight=WEIGHTS,
        epochs=2,
        batch_size=20,
        shuffle=False,
        validation_data=(X, Y),
        verbose=0,
    ).history


def assert_same_weights(a, b):
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("policy", "jit_compile"),
    [
        ("float32", False),
        pytest.param("float32", True, marks=pytest.mark.slow),
        ("mixed_float16", False),
        pytest.param("mixed_bfloat16", False, marks=pytest.mark.slow),
    ],
)
def test_it_trains_as_the_wrapped_model_would(policy, jit_compile):
    if jit_compile and BACKEND == "torch":
        pytest.skip("torch.compile is not tested.")
    keras.config.set_dtype_policy(policy)
    plain = compiled(net(), jit_compile=jit_compile)
    method = compiled(TrainingMethod(net()), jit_compile=jit_compile)
    scaled = "Scale" in type(method.optimizer).__name__
    assert scaled == (policy == "mixed_float16")
    assert trained(plain) == trained(method)
    assert_same_weights(plain, method)
    assert plain.evaluate(X, Y, verbose=0) == method.evaluate(X, Y, verbose=0)
    np.testing.assert_array_equal(
        plain.predict(X, verbose=0), method.predict(X, verbose=0)
    )


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles no epochs.")
def test_the_compiled_epoch_equals_fit():
    by_fit = compiled(TrainingMethod(net()))
    by_epochs = compiled(TrainingMethod(net()))
    expected = trained(by_fit)
    found = trained(by_epochs, fit_in_memory)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-5)
    for a, b in zip(by_fit.get_weights(), by_epochs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_class_weights_and_a_frozen_layer_count_as_they_do_for_keras():
    models = [compiled(net(trainable=False)), None]
    models[1] = compiled(TrainingMethod(net(trainable=False)))
    for model in models:
        model.fit(
            X,
            Y,
            class_weight={0: 1.0, 1: 3.0, 2: 0.5},
            shuffle=False,
            verbose=0,
        )
    assert_same_weights(*models)


def test_a_method_of_ones_own_is_a_few_lines():
    """Two steps of gradient descent with halved gradients, by hand."""

    class Half(TrainingMethod):
        def compute_gradients(self, x, y, sample_weight):
            loss, y_pred, gradients = super().compute_gradients(
                x, y, sample_weight
            )
            return loss, y_pred, [g / 2 for g in gradients]

    model = Half(keras.Sequential([layers.Dense(1, use_bias=False)]))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    model.build((None, 6))
    kernel = model.get_weights()[0].astype("float64")
    target = X @ np.arange(6.0)[:, None]
    model.fit(X, target, batch_size=40, epochs=2, verbose=0)
    for _ in range(2):
        kernel -= 0.05 * 2 * X.T @ (X @ kernel - target) / 40
    np.testing.assert_allclose(model.get_weights()[0], kernel, rtol=1e-5)


def test_it_saves_and_trains_on(tmp_path):
    method = compiled(TrainingMethod(net()))
    trained(method)
    method.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is TrainingMethod
    np.testing.assert_array_equal(
        method.predict(X, verbose=0), loaded.predict(X, verbose=0)
    )
    # A seed generator of a layer starts anew when a model is loaded.
    for old, new in zip(method.variables, loaded.variables, strict=True):
        new.assign(ops.convert_to_numpy(old))
    trained(method)
    trained(loaded)
    assert_same_weights(method, loaded)


class Twice(keras.Model):
    """A subclassed model of two outputs with a loss of its own."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, inputs, training=None):
        outputs = self.dense(inputs)
        if training:
            self.add_loss(ops.sum(outputs**2))
        return {"a": outputs, "b": 2 * outputs}


def test_a_subclassed_model_keeps_its_losses():
    target = {"a": np.zeros((40, 2)), "b": np.ones((40, 2))}
    models = []
    for wrap in (lambda model: model, TrainingMethod):
        keras.utils.set_random_seed(0)
        models.append(wrap(Twice()))
        models[-1].compile("sgd", loss={"a": "mse", "b": "mae"})
    histories = [
        model.fit(X, target, shuffle=False, verbose=0).history
        for model in models
    ]
    assert histories[0] == histories[1]
    assert_same_weights(*models)


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="`model` must be a `keras.Model`"):
        TrainingMethod(layers.Dense(1))


TWO_REPLICAS = """
    from keras_regimen.custom_models import TrainingMethod

    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4)).astype("float32")
    y = rng.integers(0, 2, 32)


    def trained(scope):
        with scope:
            keras.utils.set_random_seed(0)
            dense = keras.layers.Dense(
                2, activation="softmax", kernel_regularizer="l2"
            )
            model = TrainingMethod(
                keras.Sequential([keras.Input((4,)), dense])
            )
            model.compile("sgd", "sparse_categorical_crossentropy")
        history = model.fit(
            x, y, batch_size=8, epochs=2, shuffle=False, verbose=0
        )
        return history.history["loss"], model.get_weights()


    for one, two in zip(
        trained(tf.device("CPU:0")), trained(strategy.scope()), strict=True
    ):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
"""


@pytest.mark.slow
def test_two_replicas_train_as_one_device(on_two_replicas):
    on_two_replicas(TWO_REPLICAS)
