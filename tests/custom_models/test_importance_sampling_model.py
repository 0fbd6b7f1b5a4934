import keras
import numpy as np
import pytest
from keras import layers, ops
from sklearn.datasets import load_digits

from keras_regimen.custom_models import (
    ImportanceSamplingModel,
    fit_in_memory,
)

BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 4)).astype("float32")
Y = RNG.integers(0, 3, 48)
WEIGHTS = RNG.random(48).astype("float32")


def net(activation="softmax"):
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, "tanh"),
            layers.Dense(3, activation, name="last"),
        ]
    )


def compiled(model, loss="sparse_categorical_crossentropy", **options):
    model.compile(keras.optimizers.SGD(0.1), loss, **options)
    return model


def trained(model, fit=keras.Model.fit, **options):
    options = {"batch_size": 16, "shuffle": False, "verbose": 0, **options}
    return fit(model, X, Y, **options).history


def numbers(tensor):
    return ops.convert_to_numpy(tensor).astype("float64")


# Eight rows, each of them 250 times.
MANY = X[:8].repeat(250, axis=0), Y[:8].repeat(250)
MANY_WEIGHTS = WEIGHTS[:8].repeat(250)


def gradient(model):
    """The gradient as one vector, by a step of length 1."""
    weights = model.trainable_weights
    before = [numbers(w) for w in weights]
    model.optimizer.learning_rate.assign(1.0)
    model.train_on_batch(*MANY, sample_weight=MANY_WEIGHTS)
    steps = [b - numbers(w) for b, w in zip(before, weights, strict=True)]
    return np.concatenate([step.ravel() for step in steps])


@pytest.mark.parametrize("score", ["upper_bound", "loss"])
def test_the_mean_over_all_draws_is_the_full_gradient(score, monkeypatch):
    """Over a fine grid in place of random numbers between 0 and 1."""
    grid = (np.arange(2000) + 0.5) / 2000
    monkeypatch.setattr(
        keras.random,
        "uniform",
        lambda shape, seed: ops.convert_to_tensor(grid, "float32"),
    )
    method = ImportanceSamplingModel(net(), 2000, score, tau_threshold=0)
    compiled(method)
    chances = numbers(method.sampling_probabilities(X[:8], Y[:8], WEIGHTS[:8]))
    assert chances.sum() == pytest.approx(1, abs=1e-6)
    assert chances.max() > 3 * chances.min()
    full = gradient(compiled(net()))
    # A row is drawn as often as it should be, give or take 1 in 2,000.
    np.testing.assert_allclose(gradient(method), full, atol=2e-3)
    assert np.abs(full).max() > 0.1


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("softmax", "sparse_categorical_crossentropy"),
        (
            None,
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ),
    ],
)
def test_the_bound_of_a_softmax_is_the_error_of_its_probabilities(
    activation, loss
):
    model = net(activation)
    last = model.get_layer("last")
    # So sure and so wrong that Keras clips the probability.
    last.kernel.assign(12 * ops.convert_to_numpy(last.kernel))
    logits = numbers(net_logits(model)(X))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    assert p[np.arange(48), Y].min() < 1e-8
    lengths = np.linalg.norm(p - np.eye(3)[Y], axis=1) * WEIGHTS
    method = compiled(ImportanceSamplingModel(model, draws=4), loss)
    found = numbers(method.sampling_probabilities(X, Y, WEIGHTS))
    np.testing.assert_allclose(found, lengths / lengths.sum(), atol=1e-6)


def test_the_bound_goes_through_a_softmax_under_any_loss():
    model = net()
    p = numbers(model(X))
    target = np.eye(3)[Y]
    slope = 2 * (p - target)
    slope = p * (slope - (slope * p).sum(axis=1, keepdims=True))
    lengths = np.linalg.norm(slope, axis=1)
    method = compiled(ImportanceSamplingModel(model, draws=4), "mse")
    found = numbers(method.sampling_probabilities(X, target))
    np.testing.assert_allclose(found, lengths / lengths.sum(), rtol=1e-4)


def net_logits(model):
    """The model up to its last pre-activations."""
    last = model.get_layer("last")
    hidden = keras.Model(model.inputs[0], model.layers[0].output)

    def logits(x):
        return ops.matmul(hidden(x), last.kernel) + last.bias

    return logits


@pytest.mark.parametrize("score", ["upper_bound", "loss"])
def test_several_outputs_count_together(score):
    inputs = keras.Input((4,))
    outputs = {
        "a": layers.Dense(1, "sigmoid", name="a")(inputs),
        "b": layers.Dense(2, name="b")(inputs),
    }
    model = keras.Model(inputs, outputs)
    y = {
        "a": RNG.integers(0, 2, (48, 1)).astype("float32"),
        "b": RNG.normal(size=(48, 2)).astype("float32"),
    }
    method = ImportanceSamplingModel(model, draws=4, score=score)
    compiled(method, {"a": "binary_crossentropy", "b": "mse"})
    p, b = (numbers(model(X)[name]) for name in ("a", "b"))
    if score == "loss":
        hit = np.where(y["a"] == 1, p, 1 - p)[:, 0]
        expected = -np.log(hit) + ((b - y["b"]) ** 2).mean(axis=1)
    else:
        squares = (p - y["a"])[:, 0] ** 2 + ((b - y["b"]) ** 2).sum(axis=1)
        expected = np.sqrt(squares)
    found = numbers(method.sampling_probabilities(X, y))
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-4)
    if score == "loss":
        return
    history = method.fit(X, y, batch_size=16, verbose=0).history
    assert 0 < history["variance_ratio"][0] < 1


def test_the_ratio_tau_and_the_switch_are_the_papers():
    method = ImportanceSamplingModel(net(), draws=4, momentum=0.5)
    compiled(method)
    method.optimizer.learning_rate.assign(0.0)
    tau, ons, ratios = 0.0, [], []
    for rows in np.arange(48).reshape(3, 16):
        ons.append(tau >= (16 + 3 * 4) / (3 * 4))
        # Until it is on, it is known of the first rows alone.
        known = rows if ons[-1] else rows[:4]
        shares = numbers(method.sampling_probabilities(X[known], Y[known]))
        size = len(known)
        # The paper's own form of 1 / tau^2, before it is simplified.
        gap = ((shares - 1 / size) ** 2).sum()
        ratios.append(1 - gap / (shares**2).sum())
        tau = 0.5 * tau + 0.5 / np.sqrt(ratios[-1])
    history = trained(method)
    assert history["variance_ratio"] == pytest.approx(
        [np.mean(ratios)], rel=1e-5
    )
    assert float(numbers(method.tau)) == pytest.approx(tau, rel=1e-5)
    assert history["sampling"] == [np.mean(ons)] == [0.0]
    method.tau.assign(100.0)
    assert trained(method)["sampling"] == [1.0]


def test_switched_off_on_all_rows_it_is_plain_training_to_the_bit():
    plain = compiled(net(), metrics=["accuracy"])
    method = compiled(
        ImportanceSamplingModel(net(), 16, tau_threshold=float("inf")),
        metrics=["accuracy"],
    )
    expected, found = trained(plain), trained(method)
    assert found["loss"] == expected["loss"]
    assert found["accuracy"] == expected["accuracy"]
    for a, b in zip(
        plain.get_weights(), method.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_weights_are_bounded_by_smoothing():
    method = compiled(ImportanceSamplingModel(net(), 4, smoothing=0.25))
    chances = numbers(method.sampling_probabilities(X, Y))
    assert chances.min() >= 0.25 / 48
    bare = compiled(ImportanceSamplingModel(net(), 4))
    np.testing.assert_allclose(
        chances,
        0.75 * numbers(bare.sampling_probabilities(X, Y)) + 0.25 / 48,
        rtol=1e-5,
    )


def test_samples_that_teach_nothing_are_drawn_evenly():
    method = compiled(ImportanceSamplingModel(net(), 4))
    chances = method.sampling_probabilities(X, Y, np.zeros(48, "float32"))
    np.testing.assert_allclose(numbers(chances), 1 / 48, rtol=1e-6)


def test_on_digits_the_variance_is_the_optimal_samplers():
    """By enumeration, after some training: at most 1.05 times as large."""
    x, y = load_digits(return_X_y=True)
    x, y = (x[:400] / 16).astype("float32"), y[:400]
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(32, "relu"),
            layers.Dense(10, "softmax"),
        ]
    )
    method = ImportanceSamplingModel(model, draws=32)
    compiled(method)
    method.compile(
        keras.optimizers.SGD(0.2, momentum=0.9),
        "sparse_categorical_crossentropy",
    )
    method.fit(x, y, batch_size=100, epochs=20, verbose=0)
    w1, b1, w2, b2 = (w.astype("float64") for w in model.get_weights())
    z = x @ w1 + b1
    h = np.maximum(z, 0)
    logits = h @ w2 + b2
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    last = p - np.eye(10)[y]
    first = (last @ w2.T) * (z > 0)
    squares = (last**2).sum(axis=1) * (1 + (h**2).sum(axis=1))
    squares += (first**2).sum(axis=1) * (1 + (x**2).sum(axis=1))
    mean = [a.T @ b / 400 for a, b in ((h, last), (x, first))]
    mean += [last.mean(axis=0), first.mean(axis=0)]
    mean = sum((m**2).sum() for m in mean)

    def variance(chances):
        return (squares / chances).sum() / 400**2 - mean

    optimal = variance(np.sqrt(squares) / np.sqrt(squares).sum())
    drawn = variance(numbers(method.sampling_probabilities(x, y)))
    uniform = variance(np.full(400, 1 / 400))
    assert optimal <= drawn <= 1.05 * optimal
    assert drawn < 0.5 * uniform


def always_on(**options):
    method = ImportanceSamplingModel(net(), 4, tau_threshold=0, seed=5)
    return compiled(
        method, weighted_metrics=["accuracy"], metrics=["accuracy"], **options
    )


@pytest.fixture(scope="module")
def expected():
    method = always_on()
    return method, trained(method, validation_data=(X, Y), epochs=2)


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles nothing.")
@pytest.mark.parametrize(
    "way", ["epochs", pytest.param("xla", marks=pytest.mark.slow)]
)
def test_compiled_otherwise_it_trains_alike(expected, way):
    reference, history = expected
    if way == "xla":
        # XLA draws other numbers on TensorFlow.
        keras.utils.set_random_seed(0)
        method = always_on(jit_compile=True)
        found = trained(method, epochs=20)
        assert found["loss"][-1] < found["loss"][0]
        assert found["sampling"] == [1.0] * 20
        return
    method = always_on()
    found = trained(method, fit_in_memory, validation_data=(X, Y), epochs=2)
    assert found.keys() == history.keys()
    for name, curve in history.items():
        np.testing.assert_allclose(found[name], curve, rtol=1e-5)
    for a, b in zip(reference.get_weights(), method.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_evaluation_is_that_of_the_wrapped_model(expected):
    method, history = expected
    evaluated = method.evaluate(X, Y, verbose=0, return_dict=True)
    plain = compiled(method.model, metrics=["accuracy"])
    wanted = plain.evaluate(X, Y, verbose=0, return_dict=True)
    for name, figure in wanted.items():
        assert evaluated[name] == pytest.approx(figure)
    assert not {"variance_ratio", "sampling"} & set(evaluated)
    assert {"variance_ratio", "sampling"} <= set(history)
    assert not [name for name in history if name.startswith("val_var")]


def test_it_saves_with_its_tau_and_loads(expected, tmp_path):
    method, _ = expected
    method.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    configs = [each.get_config() for each in (method, loaded)]
    for config in configs:
        del config["model"]
    assert configs[0] == configs[1]
    assert float(numbers(loaded.tau)) == float(numbers(method.tau)) > 0.3
    np.testing.assert_array_equal(
        method.predict(X, verbose=0), loaded.predict(X, verbose=0)
    )
    assert np.isfinite(trained(loaded)["loss"][0])


def test_a_scaled_loss_in_float16_and_a_short_batch_train():
    keras.config.set_dtype_policy("mixed_float16")
    method = compiled(ImportanceSamplingModel(net(), 12, tau_threshold=0))
    assert "Scale" in type(method.optimizer).__name__
    # The last batch has 8 candidates, fewer than are drawn.
    history = trained(method, batch_size=40, epochs=8)
    assert history["loss"][-1] < history["loss"][0]
    assert method.tau.dtype == "float32"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"draws": 0}, "`draws` must.*draws=0"),
        ({"score": "size"}, "`score` must.*score='size'"),
        ({"tau_threshold": -1.0}, r"`tau_threshold` must.*=-1.0"),
        ({"tau_threshold": float("nan")}, "`tau_threshold` must.*=nan"),
        ({"smoothing": 1.5}, r"`smoothing` must.*smoothing=1.5"),
        ({"momentum": 1.0}, r"`momentum` must.*momentum=1.0"),
    ],
)
def test_a_bad_argument_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        ImportanceSamplingModel(net(), **{"draws": 4, **arguments})


TWO_REPLICAS = """
    from keras_regimen.custom_models import ImportanceSamplingModel

    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    keras.utils.set_random_seed(0)
    with strategy.scope():
        net = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(2, "softmax")]
        )
        model = ImportanceSamplingModel(net, draws=4, tau_threshold=0)
        model.compile(
            keras.optimizers.SGD(0.3), "sparse_categorical_crossentropy"
        )
    history = model.fit(x, y, batch_size=32, epochs=9, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert history["sampling"] == [1.0] * 9
    assert 0.5 < history["variance_ratio"][0] < 1
    local = strategy.experimental_local_results
    for variable in (model.tau, *net.weights):
        one, two = (v.numpy() for v in local(variable.value))
        np.testing.assert_array_equal(one, two)
"""


@pytest.mark.slow
def test_two_replicas_draw_and_stay_together(on_two_replicas):
    on_two_replicas(TWO_REPLICAS)
