import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.special import expit, log_softmax, rel_entr, softmax

from keras_regimen.custom_models import VirtualAdversarialModel, fit_in_memory
from keras_regimen.custom_models.virtual_adversarial_model import (
    _Divergence,
    _output_of,
    _repeated,
)

BACKEND = keras.config.backend()
# What JAX compiles anew for seconds.
slow_on_jax = pytest.mark.slow if BACKEND == "jax" else lambda test: test
RNG = np.random.default_rng(0)
X = RNG.random((8, 4)).astype("float32")
Y = RNG.integers(0, 3, 8)
UNLABELED = RNG.random((12, 4)).astype("float32")
KERNEL = RNG.normal(0, 0.7, (4, 3)).astype("float32")
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
RATE = 0.5


def regression(**settings):
    net = keras.Sequential([keras.Input((4,)), layers.Dense(3, use_bias=False)])
    net.set_weights([KERNEL])
    model = VirtualAdversarialModel(net, seed=7, **settings)
    model.compile(keras.optimizers.SGD(RATE), LOGITS)
    return model


def net():
    """A net with all that a further pass might count twice."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.BatchNormalization(momentum=0.5),
            layers.Dense(8, "relu", kernel_regularizer="l2"),
            layers.Dropout(0.5, seed=1),
            layers.Dense(3, activity_regularizer="l2"),
            layers.Softmax(dtype="float32"),
        ]
    )


def compiled(model, **arguments):
    model.compile(
        keras.optimizers.SGD(RATE),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **arguments,
    )
    return model


def trained(model, x=X, fit=keras.Model.fit, **arguments):
    history = fit(
        model, x, Y, batch_size=8, shuffle=False, verbose=0, **arguments
    )
    return history.history, model.get_weights()


def first_direction():
    draw = keras.random.normal(
        UNLABELED.shape, seed=keras.random.SeedGenerator(7)
    )
    return unit(ops.convert_to_numpy(draw).astype("float64"))


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def slope(moved, fixed=UNLABELED):
    """Each sample's gradient of KL by the moved inputs, in closed form."""
    difference = softmax(moved @ KERNEL, 1) - softmax(fixed @ KERNEL, 1)
    return difference @ KERNEL.T


@pytest.mark.parametrize(
    ("direction", "iterations"), [("adversarial", 2), ("random", 1)]
)
def test_a_step_is_that_of_softmax_regression_by_hand(direction, iterations):
    model = regression(
        epsilon=0.8,
        xi=0.3,
        power_iterations=iterations,
        weight=2.0,
        direction=direction,
    )
    loss = model.train_on_batch({"labeled": X, "unlabeled": UNLABELED}, Y)
    d = first_direction()
    if direction == "adversarial":
        for _ in range(iterations):
            d = unit(slope(UNLABELED + 0.3 * d))
    moved = UNLABELED + 0.8 * d
    fixed = softmax(UNLABELED @ KERNEL, 1)
    found = softmax(moved @ KERNEL, 1)
    divergence = rel_entr(fixed, found).sum(1).mean()
    errors = softmax(X @ KERNEL, 1) - np.eye(3)[Y]
    gradient = X.T @ errors / 8 + 2 * moved.T @ (found - fixed) / 12
    entropy = -log_softmax(X @ KERNEL, 1)[np.arange(8), Y].mean()
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), entropy + 2 * divergence, rtol=1e-5
    )
    np.testing.assert_allclose(
        model.get_weights()[0], KERNEL - RATE * gradient, atol=1e-5
    )


def test_power_iteration_finds_the_top_eigenvector_of_the_fisher_matrix():
    model = regression(epsilon=1.0, xi=0.05, power_iterations=30)
    x = ops.convert_to_tensor(UNLABELED)
    divergence = _Divergence("softmax_logits")
    model.optimizer.build(model.trainable_variables)
    # Private, but what each step learns from.
    found = model._perturbed(x, model(x), divergence)
    found = ops.convert_to_numpy(found) - UNLABELED
    for sample, direction in zip(UNLABELED, found, strict=True):
        p = softmax(sample @ KERNEL)
        fisher = KERNEL @ (np.diag(p) - np.outer(p, p)) @ KERNEL.T
        values, vectors = np.linalg.eigh(fisher)
        assert values[-1] > 1.2 * values[-2]
        # At a distance of `xi` the divergence is not quite quadratic.
        assert abs(direction @ vectors[:, -1]) > 0.999
        assert np.linalg.norm(direction) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    "output", ["softmax", "softmax_logits", "sigmoid", "sigmoid_logits"]
)
def test_the_divergence_is_that_of_scipy(output):
    fixed, moved = RNG.normal(size=(2, 6, 3))
    if output.startswith("softmax"):
        p, q = softmax(fixed, 1), softmax(moved, 1)
        expected = rel_entr(p, q)
    else:
        p, q = expit(fixed), expit(moved)
        expected = rel_entr(p, q) + rel_entr(1 - p, 1 - q)
    if not output.endswith("logits"):
        fixed, moved = p, q
    found = _Divergence(output)(fixed, moved)
    assert float(found) == pytest.approx(expected.sum(1).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "output"),
    [
        ("sparse_categorical_crossentropy", "softmax"),
        (keras.losses.categorical_crossentropy, "softmax"),
        (LOGITS, "softmax_logits"),
        (keras.losses.BinaryCrossentropy(), "sigmoid"),
        (keras.losses.BinaryFocalCrossentropy(True), "sigmoid"),
        (keras.losses.BinaryCrossentropy(from_logits=True), "sigmoid_logits"),
    ],
)
def test_the_loss_says_what_outputs_are(loss, output):
    assert _output_of(loss) == output


def test_a_loss_that_does_not_say_it_needs_output():
    model = VirtualAdversarialModel(net(), 0.5)
    model.compile("sgd", "mse", run_eagerly=BACKEND != "jax")
    with pytest.raises(ValueError, match="output=None and loss='mse'"):
        model.fit(X, np.eye(3)[Y], verbose=0)


@pytest.fixture(scope="module")
def plain():
    return trained(compiled(net()), epochs=2)


@pytest.mark.parametrize("settings", [{"epsilon": 0}, {"weight": 0}])
def test_without_a_penalty_it_is_plain_training_to_the_bit(plain, settings):
    model = VirtualAdversarialModel(net(), **{"epsilon": 0.5, **settings})
    history, weights = trained(compiled(model), epochs=2)
    assert history == plain[0]
    for found, expected in zip(weights, plain[1], strict=True):
        np.testing.assert_array_equal(found, expected)


def test_passes_share_masks_and_leave_no_other_trace(plain):
    """A perturbation below rounding is none, wherever else a trace stays."""
    model = compiled(VirtualAdversarialModel(net(), 1e-30))
    history, weights = trained(model, epochs=2)
    np.testing.assert_allclose(history["loss"], plain[0]["loss"], rtol=1e-5)
    for found, expected in zip(weights, plain[1], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module")
def semi_supervised():
    return compiled(VirtualAdversarialModel(net(), 0.5, seed=1))


def test_fit_takes_sets_of_different_size(semi_supervised):
    model = semi_supervised
    for x, samples in (((X, UNLABELED), 12), ((X, UNLABELED[:3]), 8)):
        before = int(model.optimizer.iterations)
        history = model.fit(
            x,
            Y,
            batch_size=4,
            sample_weight=np.ones(8),
            validation_data=(X, Y),
            verbose=0,
        )
        assert int(model.optimizer.iterations) - before == samples / 4
        assert history.history["val_loss"] == pytest.approx(
            [model.evaluate(X, Y, verbose=0)[0]], rel=1e-5
        )
    np.testing.assert_allclose(
        model.predict(X, verbose=0), model.model.predict(X, verbose=0)
    )


@slow_on_jax
def test_validation_is_split_off_the_labelled_samples(semi_supervised):
    history = semi_supervised.fit(
        (X, UNLABELED), Y, batch_size=4, validation_split=0.5, verbose=0
    ).history
    losses = [
        semi_supervised.evaluate(X[half], Y[half], verbose=0)[0]
        for half in (slice(4), slice(4, None))
    ]
    assert history["val_loss"] == pytest.approx([losses[1]], rel=1e-5)
    assert history["val_loss"] != pytest.approx([losses[0]], rel=1e-2)


@slow_on_jax
def test_moving_statistics_are_those_of_labelled_batches():
    model = compiled(VirtualAdversarialModel(net(), 0.5))
    model.train_on_batch({"labeled": X, "unlabeled": UNLABELED}, Y)
    norm = model.model.layers[0]
    np.testing.assert_allclose(
        ops.convert_to_numpy(norm.moving_mean), X.mean(0) / 2, rtol=1e-5
    )


def test_a_set_is_repeated_evenly():
    rows = np.arange(8)
    for count in (8, 16, 20, 3 * 8 + 1):
        found = _repeated(rows, count)
        assert len(found) == count
        times = np.bincount(found)
        assert {times.min(), times.max()} <= {count // 8, -(-count // 8)}
        np.testing.assert_array_equal(found[:8], rows)
    # The rest is taken from all over.
    np.testing.assert_array_equal(_repeated(rows, 12)[8:], [0, 2, 4, 6])
    x, y, none = _repeated((X, Y, None), 20)
    assert none is None
    np.testing.assert_array_equal(x, X[_repeated(rows, 20)])
    np.testing.assert_array_equal(y, Y[_repeated(rows, 20)])


class InEpochs(VirtualAdversarialModel):
    """Sets of one size need no `fit` of their own."""

    fit = keras.Model.fit


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles no epochs.")
def test_compiled_epochs_of_pairs_equal_fit():
    results = []
    for kind, x in (
        (VirtualAdversarialModel, (X, UNLABELED[:8])),
        (InEpochs, {"labeled": X, "unlabeled": UNLABELED[:8]}),
    ):
        model = compiled(kind(net(), 0.5, seed=1))
        fit = fit_in_memory if kind is InEpochs else kind.fit
        results.append(trained(model, x, fit, epochs=2))
    (history, weights), (compiled_history, compiled_weights) = results
    np.testing.assert_allclose(
        compiled_history["loss"], history["loss"], rtol=1e-4
    )
    for found, expected in zip(compiled_weights, weights, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@slow_on_jax
def test_half_precision_takes_nearly_the_same_step():
    found = {}
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        model = regression(epsilon=0.8, xi=0.8)
        model.train_on_batch({"labeled": X, "unlabeled": UNLABELED}, Y)
        found[policy] = model.get_weights()[0]
    assert hasattr(model.optimizer, "dynamic_scale")
    assert np.any(found["mixed_float16"] != KERNEL)
    np.testing.assert_allclose(
        found["mixed_float16"], found["float32"], atol=3e-3
    )


@slow_on_jax
def test_half_precision_finds_a_direction_where_float32_does():
    """A net so flat that its gradient vanishes unless it is scaled."""
    directions = []
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        model = regression(epsilon=1.0, xi=1.0)
        model.set_weights([KERNEL / 1000, *model.get_weights()[1:]])
        model.optimizer.build(model.trainable_variables)
        x = ops.convert_to_tensor(UNLABELED)
        # Private, but what each step learns from.
        found = model._perturbed(x, model(x), _Divergence("softmax_logits"))
        directions.append(ops.convert_to_numpy(found) - UNLABELED)
    assert np.all(np.sum(directions[0] * directions[1], axis=1) > 0.9)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX compiles anyhow.")
def test_xla_takes_the_same_steps():
    batch = {"labeled": X, "unlabeled": UNLABELED}
    found = []
    for jit_compile in (True, False):
        model = regression(epsilon=0.8, power_iterations=10)
        model.compile(
            keras.optimizers.SGD(RATE), LOGITS, jit_compile=jit_compile
        )
        # XLA draws other numbers, but iterates to the same direction.
        model.train_on_batch(batch, Y)
        found.append(model.get_weights()[0])
    np.testing.assert_allclose(*found, atol=0.05)


@slow_on_jax
def test_it_saves_and_trains_on(tmp_path):
    model = regression(epsilon=0.5, weight=0.5, output="softmax_logits")
    model.fit((X, UNLABELED), Y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert {**loaded.get_config(), "model": 0} == {
        **model.get_config(),
        "model": 0,
    }
    for old, new in zip(model.variables, loaded.variables, strict=True):
        new.assign(ops.convert_to_numpy(old))
    for method in (model, loaded):
        method.fit((X, UNLABELED), Y, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), loaded.predict(X, verbose=0), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("`epsilon`.*epsilon=-1", {"epsilon": -1}),
        ("`xi`.*xi=0", {"xi": 0}),
        ("`power_iterations`.*power_iterations=0", {"power_iterations": 0}),
        ("`weight`.*weight=nan", {"weight": np.nan}),
        ("`direction`.*direction='up'", {"direction": "up"}),
        ("`output`.*output='linear'", {"output": "linear"}),
        ("`seed`.*seed=-1", {"seed": -1}),
    ],
)
def test_bad_arguments_say_what_was_received(message, arguments):
    with pytest.raises(ValueError, match=message):
        VirtualAdversarialModel(net(), **{"epsilon": 0.5, **arguments})


# For two classes the direction is known but for its sign, which does not
# matter at zero: so replicas, which draw other signs, agree.
TWO_REPLICAS = """
    from keras_regimen.custom_models import VirtualAdversarialModel

    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 4)).astype("float32")
    y = rng.integers(0, 2, 8).astype("float32")
    unlabeled = np.zeros((8, 4), "float32")


    def trained(scope):
        with scope:
            keras.utils.set_random_seed(0)
            dense = keras.layers.Dense(1, "sigmoid", use_bias=False)
            net = keras.Sequential([keras.Input((4,)), dense])
            model = VirtualAdversarialModel(net, 2.0)
            model.compile("sgd", "binary_crossentropy")
        history = model.fit(
            (x, unlabeled), y, batch_size=8, epochs=2, shuffle=False, verbose=0
        )
        return history.history["loss"], model.get_weights()


    for one, two in zip(
        trained(tf.device("CPU:0")), trained(strategy.scope()), strict=True
    ):
        for a, b in zip(one, two, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
"""


@pytest.mark.slow
@pytest.mark.release
def test_two_replicas_train_as_one_device(on_two_replicas):
    on_two_replicas(TWO_REPLICAS)
