import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import AdversarialModel, fit_in_memory

BACKEND = keras.config.backend()
# What JAX compiles anew for seconds.
slow_on_jax = pytest.mark.slow if BACKEND == "jax" else lambda test: test
RNG = np.random.default_rng(0)
X = RNG.random((12, 4)).astype("float32")
Y = RNG.integers(0, 3, 12)
WEIGHTS = RNG.random(12).astype("float32")
# Small: where a net is sure, float32 rounds much of 1 - p away.
KERNEL = RNG.normal(0, 0.3, (4, 3)).astype("float32")
EPSILON, CLIP, RATE = 0.2, (0.05, 0.95), 0.5


def regression():
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, use_bias=False),
            layers.Softmax(dtype="float32"),
        ]
    )
    model.set_weights([KERNEL])
    return model


def net():
    """A net with all that a second pass might count twice."""
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


def trained(model, fit=keras.Model.fit, jit_compile=False, **arguments):
    model.compile(
        keras.optimizers.SGD(RATE),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=jit_compile or BACKEND == "jax",
    )
    options = {"batch_size": 12, "shuffle": False, "verbose": 0}
    history = fit(model, X, Y, **options, **arguments).history
    return history, model.get_weights()


def slopes(kernel, x):
    """Each sample's gradient of cross-entropy by logits and by inputs."""
    p = np.exp(x @ kernel)
    by_logits = p / p.sum(1, keepdims=True) - np.eye(3)[Y]
    return by_logits, by_logits @ kernel.T


def by_hand(attack, norm, clip):
    if attack == "random":
        draw = keras.random.uniform((12, 4), seed=keras.random.SeedGenerator(7))
        moved = X + EPSILON * np.where(ops.convert_to_numpy(draw) < 0.5, -1, 1)
        return moved.clip(*clip)
    steps, size = (1, EPSILON) if attack == "fgsm" else (3, 0.1)
    x = X.astype("float64")
    for _ in range(steps):
        _, g = slopes(KERNEL, x)
        if norm == "l2":
            step = g / np.linalg.norm(g, axis=1, keepdims=True)
        else:
            step = np.sign(g)
        delta = x + size * step - X
        length = np.linalg.norm(delta, axis=1, keepdims=True)
        if norm == "l2":
            delta *= np.minimum(1, EPSILON / length)
        else:
            delta = delta.clip(-EPSILON, EPSILON)
        x = (X + delta).clip(*clip)
    return x


@pytest.mark.parametrize(
    ("attack", "norm", "clean_weight"),
    [
        ("fgsm", "linf", 0.5),
        ("pgd", "l2", 0.25),
        ("random", "linf", 0.5),
        ("fgsm", "linf", 0.0),
    ],
)
def test_a_step_is_that_of_softmax_regression_by_hand(
    attack, norm, clean_weight
):
    model = AdversarialModel(
        regression(),
        EPSILON,
        attack,
        norm,
        step_size=0.1 if attack == "pgd" else None,
        steps=3,
        clip=CLIP,
        clean_weight=clean_weight,
        seed=7,
    )
    history, [found] = trained(model, sample_weight=WEIGHTS)
    moved = by_hand(attack, norm, CLIP)
    gradient, loss = 0, 0
    for share, x in ((clean_weight, X), (1 - clean_weight, moved)):
        by_logits, _ = slopes(KERNEL, x)
        weighted = share * WEIGHTS[:, None] / 12
        gradient = gradient + x.T @ (weighted * by_logits)
        surprise = -np.log(1 + by_logits[np.arange(12), Y])
        loss = loss + np.sum(weighted[:, 0] * surprise)
    np.testing.assert_allclose(found, KERNEL - RATE * gradient, atol=1e-5)
    np.testing.assert_allclose(history["loss"], [loss], rtol=1e-5)


@pytest.fixture(scope="module")
def plain():
    return trained(net(), epochs=2)


def test_without_a_perturbation_it_is_plain_training_to_the_bit(plain):
    for settings in ({"epsilon": 0}, {"epsilon": 0.1, "clean_weight": 1}):
        history, weights = trained(
            AdversarialModel(net(), **settings), epochs=2
        )
        assert history == plain[0]
        for found, expected in zip(weights, plain[1], strict=True):
            np.testing.assert_array_equal(found, expected)
        if BACKEND == "jax":
            break  # The other would compile for as long again.


def test_the_twin_pass_shares_masks_and_leaves_no_other_trace(plain):
    """A perturbation below rounding is none, wherever else a trace stays."""
    history, weights = trained(AdversarialModel(net(), 1e-30), epochs=2)
    np.testing.assert_allclose(history["loss"], plain[0]["loss"], rtol=1e-5)
    for found, expected in zip(weights, plain[1], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


@slow_on_jax
def test_moving_statistics_are_those_of_clean_inputs():
    model = AdversarialModel(net(), 0.5)
    trained(model)
    norm = model.model.layers[0]
    np.testing.assert_allclose(
        ops.convert_to_numpy(norm.moving_mean), X.mean(0) / 2, rtol=1e-5
    )


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles no epochs.")
def test_the_compiled_epoch_equals_fit():
    results = [
        trained(
            AdversarialModel(
                net(), EPSILON, "pgd", steps=2, random_start=True, seed=1
            ),
            fit,
            epochs=2,
            validation_data=(X, Y),
        )
        for fit in (keras.Model.fit, fit_in_memory)
    ]
    (history, weights), (compiled_history, compiled_weights) = results
    for name, values in history.items():
        np.testing.assert_allclose(compiled_history[name], values, rtol=1e-4)
    for found, expected in zip(compiled_weights, weights, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX compiles anyhow.")
def test_xla_takes_the_same_steps():
    _, [found] = trained(
        AdversarialModel(regression(), EPSILON, "pgd", steps=2),
        jit_compile=True,
        epochs=2,
    )
    _, [expected] = trained(
        AdversarialModel(regression(), EPSILON, "pgd", steps=2), epochs=2
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


@slow_on_jax
def test_half_precision_attacks_where_float32_does():
    """A loss so small that its gradient vanishes unless it is scaled."""
    moved = []
    for policy in ("float32", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        model = AdversarialModel(regression(), EPSILON)
        model.compile(
            "sgd", "sparse_categorical_crossentropy", loss_weights=[1e-7]
        )
        model.optimizer.build(model.trainable_variables)
        # Private, but what every step learns from.
        attacked = model._attacked(ops.convert_to_tensor(X), Y, None)
        moved.append(ops.convert_to_numpy(attacked))
    assert hasattr(model.optimizer, "dynamic_scale")
    np.testing.assert_allclose(abs(moved[0] - X), EPSILON, rtol=1e-5)
    # A sample whose probabilities half precision rounds may differ.
    assert np.mean(np.sign(moved[0] - X) == np.sign(moved[1] - X)) > 0.9


@slow_on_jax
def test_half_precision_trains():
    keras.config.set_dtype_policy("mixed_float16")
    _, [found] = trained(AdversarialModel(regression(), EPSILON))
    keras.config.set_dtype_policy("float32")
    _, [expected] = trained(AdversarialModel(regression(), EPSILON))
    assert np.any(found != KERNEL)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@slow_on_jax
def test_it_saves_and_trains_on(tmp_path):
    model = AdversarialModel(
        regression(), EPSILON, "random", clip=CLIP, clean_weight=0.25, seed=7
    )
    trained(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    config = {**model.get_config(), "model": None, "clip": list(CLIP)}
    assert {**loaded.get_config(), "model": None, "clip": list(CLIP)} == config
    for old, new in zip(model.variables, loaded.variables, strict=True):
        new.assign(ops.convert_to_numpy(old))
    for method in (model, loaded):
        method.fit(X, Y, batch_size=12, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        model.predict(X, verbose=0), loaded.predict(X, verbose=0), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("`epsilon`.*epsilon=-1", {"epsilon": -1}),
        ("`attack`.*attack='cw'", {"attack": "cw"}),
        ("`norm`.*norm='l1'", {"norm": "l1"}),
        ("`step_size`.*step_size=-1", {"step_size": -1}),
        ("`steps`.*steps=1.5", {"steps": 1.5}),
        (r"`clip`.*clip=\(1, 1\)", {"clip": (1, 1)}),
        ("`clean_weight`.*clean_weight=nan", {"clean_weight": np.nan}),
        ("`seed`.*seed=-1", {"seed": -1}),
    ],
)
def test_bad_arguments_say_what_was_received(message, arguments):
    with pytest.raises(ValueError, match=message):
        AdversarialModel(regression(), **{"epsilon": EPSILON, **arguments})


TWO_REPLICAS = """
    from keras_regimen.custom_models import AdversarialModel

    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4)).astype("float32")
    y = rng.integers(0, 2, 32)


    def trained(scope):
        with scope:
            keras.utils.set_random_seed(0)
            dense = keras.layers.Dense(
                2, activation="softmax", kernel_regularizer="l2"
            )
            net = keras.Sequential([keras.Input((4,)), dense])
            model = AdversarialModel(net, 0.3, "pgd", steps=2)
            model.compile("sgd", "sparse_categorical_crossentropy")
        history = model.fit(
            x, y, batch_size=8, epochs=2, shuffle=False, verbose=0
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
