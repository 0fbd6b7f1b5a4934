import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import SharpnessAwareModel, fit_in_memory

BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype("float32")
Y = RNG.integers(0, 3, 40)
WEIGHTS = RNG.random(40).astype("float32")


def deep():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dropout(0.3, seed=1),
            layers.Dense(3, "softmax", dtype="float32"),
        ]
    )


def linear():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(3, "softmax", name="dense")]
    )


def trained(model, optimizer=None, fit=keras.Model.fit, epochs=1, **options):
    model.compile(
        optimizer or keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **options,
    )
    return fitted(model, fit, epochs)


def fitted(model, fit=keras.Model.fit, epochs=1):
    return fit(
        model,
        X,
        Y,
        sample_weight=WEIGHTS,
        epochs=epochs,
        batch_size=10,
        shuffle=False,
        verbose=0,
    ).history


def assert_same(a, b, **tolerance):
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


def gradients(kernel, bias, rows):
    """Loss and gradients of softmax regression in float64."""
    x, weights = X[rows].astype("float64"), WEIGHTS[rows] / len(rows)
    p = np.exp(x @ kernel + bias)
    p /= p.sum(axis=1, keepdims=True)
    hit = np.eye(3)[Y[rows]]
    loss = -weights @ np.log((p * hit).sum(axis=1))
    slope = (p - hit) * weights[:, None]
    return loss, x.T @ slope, slope.sum(axis=0)


@pytest.mark.parametrize(
    ("rho", "adaptive", "every"),
    [(0.5, False, 1), (2.0, True, 1), (0.5, False, 3)],
)
def test_four_steps_are_those_of_numpy(rho, adaptive, every):
    net = linear()
    kernel, bias = (w.astype("float64") for w in net.get_weights())
    bias += [0.5, 0.0, -0.5]
    net.layers[-1].bias.assign(bias)
    losses = []
    for step in range(4):
        rows = np.arange(10 * step, 10 * step + 10)
        loss, by_kernel, by_bias = gradients(kernel, bias, rows)
        losses.append(loss)
        if step % every == 0:
            size = np.abs(kernel) + 0.01 if adaptive else 1.0
            norm = np.sqrt(((size * by_kernel) ** 2).sum() + by_bias @ by_bias)
            _, by_kernel, by_bias = gradients(
                kernel + rho * size**2 * by_kernel / norm,
                bias + rho * by_bias / norm,
                rows,
            )
        kernel, bias = kernel - 0.1 * by_kernel, bias - 0.1 * by_bias
    model = SharpnessAwareModel(net, rho, adaptive, every)
    history = trained(model)
    np.testing.assert_allclose(net.get_weights()[0], kernel, atol=2e-6)
    np.testing.assert_allclose(net.get_weights()[1], bias, atol=2e-6)
    assert history["loss"] == pytest.approx([np.mean(losses)], rel=1e-5)


def test_no_distance_is_plain_training_to_the_bit():
    plain, model = deep(), SharpnessAwareModel(deep(), rho=0, every=2)
    assert trained(plain) == trained(model)
    assert_same(plain, model, rtol=0)


def test_both_gradients_see_the_same_dropout():
    """The gradient of a linear loss is the same above, if the masks are."""

    def net():
        keras.utils.set_random_seed(0)
        return keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dropout(0.5, seed=1),
                layers.Dense(1),
            ]
        )

    plain, inner = net(), net()
    for model in (plain, SharpnessAwareModel(inner, rho=3.0)):
        model.compile(keras.optimizers.SGD(0.1), lambda y, p: y * p)
        model.fit(X, X[:, :1], batch_size=10, shuffle=False, verbose=0)
    assert_same(plain, inner, rtol=1e-6, atol=1e-7)


def test_batch_statistics_are_those_of_the_first_pass():
    plain, model = deep(), SharpnessAwareModel(deep(), rho=0.5)
    for trains in (plain, model):
        # Weights that stay show what one step does to statistics.
        trained(trains, keras.optimizers.SGD(0.0))
    moved = plain.layers[1]
    np.testing.assert_array_equal(
        moved.moving_mean, model.model.layers[1].moving_mean
    )
    np.testing.assert_array_equal(
        moved.moving_variance, model.model.layers[1].moving_variance
    )
    assert np.abs(ops.convert_to_numpy(moved.moving_mean)).max() > 0


def test_a_scaled_loss_goes_up_no_further():
    plain, scaled = (SharpnessAwareModel(linear(), rho=0.5) for _ in range(2))
    trained(plain)
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**12
    )
    trained(scaled, optimizer)
    assert_same(plain, scaled, rtol=1e-5, atol=1e-6)


def test_a_step_that_overflows_is_left_out():
    keras.config.set_dtype_policy("mixed_float16")
    model = SharpnessAwareModel(linear(), rho=0.1)
    before = model.get_weights()[0]
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=2.0**30, dynamic_growth_steps=9
    )
    trained(model, optimizer)
    np.testing.assert_array_equal(model.get_weights()[0], before)
    assert float(ops.convert_to_numpy(optimizer.dynamic_scale)) == 2.0**26
    optimizer.dynamic_scale.assign(8.0)
    fitted(model)
    assert np.abs(model.get_weights()[0] - before).max() > 0
    assert np.isfinite(model.get_weights()[0]).all()


def test_an_embedding_moves_as_a_dense_kernel_and_idle_weights_stay():
    ids = RNG.integers(0, 5, (40, 1))
    kernel = RNG.normal(size=(5, 3)).astype("float32")

    def on(inputs, features):
        outputs = {
            "used": layers.Activation("softmax", name="used")(features),
            "idle": layers.Dense(1, name="idle")(features),
        }
        return keras.Model(inputs, outputs)

    one_hot = keras.Input((5,))
    dense = on(one_hot, layers.Dense(3, use_bias=False, name="in")(one_hot))
    index = keras.Input((1,), dtype="int32")
    table = layers.Embedding(5, 3, name="in")
    sparse = on(index, layers.Flatten()(table(index)))
    found = []
    for net, x in ((dense, np.eye(5)[ids[:, 0]]), (sparse, ids)):
        net.get_layer("in").set_weights([kernel])
        idle = net.get_layer("idle").get_weights()
        model = SharpnessAwareModel(net, rho=0.5, adaptive=True, every=2)
        losses = {"used": "sparse_categorical_crossentropy", "idle": None}
        model.compile(keras.optimizers.SGD(0.3), losses)
        with warnings.catch_warnings():
            # Keras says that there is no gradient for what is idle.
            warnings.simplefilter("ignore")
            target = {"used": Y, "idle": Y}
            model.fit(x, target, batch_size=10, shuffle=False, verbose=0)
        found.append(net.get_layer("in").get_weights()[0])
        np.testing.assert_array_equal(
            net.get_layer("idle").get_weights()[0], idle[0]
        )
    np.testing.assert_allclose(*found, atol=1e-6)
    assert np.abs(found[0] - kernel).max() > 0.01


@pytest.mark.skipif(BACKEND == "jax", reason="It traces both branches.")
def test_other_updates_cost_one_gradient():
    calls = []

    class Counted(layers.Layer):
        def call(self, x):
            calls.append(1)
            return x

    net = keras.Sequential([keras.Input((6,)), Counted(), layers.Dense(3)])
    calls.clear()
    model = SharpnessAwareModel(net, every=3)
    # On TensorFlow, a symbolic pass comes first.
    model.build((None, 6))
    model.compile("sgd", "mse", run_eagerly=True)
    model.train_on_batch(X, np.eye(3)[Y])
    calls.clear()
    for _ in range(5):
        model.train_on_batch(X, np.eye(3)[Y])
    assert len(calls) == 5 + 1


@pytest.fixture(scope="module")
def by_fit():
    keras.config.set_dtype_policy("float32")
    model = SharpnessAwareModel(deep(), rho=0.5, every=2)
    return model, trained(model, epochs=2)


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles nothing.")
@pytest.mark.parametrize(
    "way", ["epochs", pytest.param("xla", marks=pytest.mark.slow)]
)
def test_compiled_otherwise_it_trains_alike(by_fit, way):
    expected, history = by_fit
    model = SharpnessAwareModel(deep(), rho=0.5, every=2)
    if way == "xla":
        # XLA draws other masks on TensorFlow.
        expected = SharpnessAwareModel(linear(), rho=0.5, every=2)
        model = SharpnessAwareModel(linear(), rho=0.5, every=2)
        history = trained(expected, epochs=2)
        found = trained(model, epochs=2, jit_compile=True)
    else:
        found = trained(model, fit=fit_in_memory, epochs=2)
    for name, curve in history.items():
        np.testing.assert_allclose(found[name], curve, rtol=1e-5)
    assert_same(expected, model, rtol=1e-5, atol=1e-6)


def test_it_saves_and_trains_on(by_fit, tmp_path):
    model, _ = by_fit
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.rho, loaded.adaptive, loaded.every) == (0.5, False, 2)
    np.testing.assert_array_equal(
        model.predict(X, verbose=0), loaded.predict(X, verbose=0)
    )
    # A seed generator of a layer starts anew when a model is loaded.
    for old, new in zip(model.variables, loaded.variables, strict=True):
        new.assign(ops.convert_to_numpy(old))
    for each in (model, loaded):
        fitted(each)
    assert_same(model, loaded, rtol=1e-6)


@pytest.mark.parametrize("rho", [-0.1, float("nan"), float("inf")])
def test_a_bad_distance_is_refused(rho):
    with pytest.raises(ValueError, match=f"`rho` must.*rho={rho}"):
        SharpnessAwareModel(linear(), rho)


@pytest.mark.parametrize("every", [0, 1.5])
def test_a_bad_period_is_refused(every):
    with pytest.raises(ValueError, match=f"`every` must.*every={every}"):
        SharpnessAwareModel(linear(), every=every)


TWO_REPLICAS = """
    from keras_regimen.custom_models import SharpnessAwareModel

    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4)).astype("float32")
    y = rng.integers(0, 2, 32)


    def trained(scope, every):
        with scope:
            keras.utils.set_random_seed(0)
            net = keras.Sequential([
                keras.Input((4,)),
                keras.layers.Dense(5, "tanh", kernel_regularizer="l2"),
                keras.layers.Dense(2, "softmax"),
            ])
            model = SharpnessAwareModel(net, rho=0.5, every=every)
            model.compile("sgd", "sparse_categorical_crossentropy")
        history = model.fit(
            x, y, batch_size=8, epochs=2, shuffle=False, verbose=0
        )
        return history.history["loss"], model.get_weights()


    for every in (1, 2):
        one = trained(tf.device("CPU:0"), every)
        two = trained(strategy.scope(), every)
        for a, b in zip(one, two, strict=True):
            for c, d in zip(a, b, strict=True):
                np.testing.assert_allclose(c, d, rtol=1e-6, atol=1e-6)
"""


@pytest.mark.slow
def test_two_replicas_train_as_one_device(on_two_replicas):
    on_two_replicas(TWO_REPLICAS)
