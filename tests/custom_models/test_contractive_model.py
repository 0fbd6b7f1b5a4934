import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import ContractiveModel, fit_in_memory

BACKEND = keras.config.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 5)).astype("float32")
WEIGHTS = RNG.random(24).astype("float32")


def autoencoder():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, "sigmoid", name="code"),
            layers.Dense(5, name="decoded"),
        ]
    )


def compiled(model, optimizer=None, **options):
    model.compile(optimizer or keras.optimizers.SGD(0.1), "mse", **options)
    return model


def trained(model, fit=keras.Model.fit, **options):
    return fit(
        model,
        X,
        X,
        batch_size=8,
        shuffle=False,
        verbose=0,
        **options,
    ).history


def sigmoid_contraction(kernel, bias, x):
    """Rifai et al., equation 9, and its gradients, in float64."""
    h = 1 / (1 + np.exp(-(x @ kernel + bias)))
    slope = h * (1 - h)
    sizes = (kernel**2).sum(axis=0)
    value = (slope**2 @ sizes).mean()
    by_z = 2 * slope**2 * (1 - 2 * h) * sizes / len(x)
    by_kernel = x.T @ by_z + 2 * kernel * (slope**2).mean(axis=0)
    return value, by_kernel, by_z.sum(axis=0)


def test_a_step_is_that_of_the_closed_form():
    """One step on the penalty alone: no sample counts for the loss."""
    net = autoencoder()
    kernel, bias = (w.astype("float64") for w in net.get_weights()[:2])
    value, by_kernel, by_bias = sigmoid_contraction(kernel, bias, X)
    model = compiled(ContractiveModel(net, "code", strength=3.0))
    history = model.fit(
        X, X, sample_weight=np.zeros(24), batch_size=24, verbose=0
    ).history
    assert history["contraction"] == pytest.approx([value], rel=1e-5)
    assert history["loss"] == pytest.approx([3 * value], rel=1e-5)
    found = net.get_weights()
    np.testing.assert_allclose(found[0], kernel - 0.3 * by_kernel, atol=1e-6)
    np.testing.assert_allclose(found[1], bias - 0.3 * by_bias, atol=1e-6)


def test_the_estimate_is_unbiased():
    net = autoencoder()
    kernel, bias = (w.astype("float64") for w in net.get_weights()[:2])
    exact, *_ = sigmoid_contraction(kernel, bias, X)
    h = 1 / (1 + np.exp(-(X @ kernel + bias)))
    jacobians = (h * (1 - h))[:, :, None] * kernel.T
    squares = jacobians @ jacobians.transpose(0, 2, 1)
    off = squares - squares * np.eye(4)
    # Of x' A x with random signs: twice the squares off the diagonal of A.
    sigma = np.sqrt(2 * (off**2).sum() / 24**2 / 200)
    model = ContractiveModel(net, "code", 1.0, exact_up_to=3, samples=200)
    found = float(ops.convert_to_numpy(model.contraction(X)))
    assert abs(found - exact) < 4 * sigma
    assert found != pytest.approx(exact, rel=1e-6)


def test_other_directions_are_drawn_each_time():
    model = ContractiveModel(autoencoder(), "code", 1.0, exact_up_to=0, seed=1)
    again = ContractiveModel(autoencoder(), "code", 1.0, exact_up_to=0, seed=1)
    first, second = (
        [float(ops.convert_to_numpy(m.contraction(X))) for _ in range(2)]
        for m in (model, again)
    )
    assert first == second
    assert first[0] != first[1]


def test_the_jacobian_is_that_of_inference():
    """Of maps with a known Jacobian, after layers that train otherwise."""
    inputs = keras.Input((4, 4, 2))
    x = layers.Dropout(0.5)(inputs)
    x = layers.BatchNormalization(name="norm", epsilon=0.0)(x)
    x = layers.AveragePooling2D(2, name="pooled")(x)
    outputs = layers.Dense(1)(layers.Flatten()(x))
    net = keras.Model(inputs, outputs)
    net.get_layer("norm").set_weights(
        np.array([[3.0, 1.0], [0.0, 1.0], [5.0, 5.0], [4.0, 4.0]])
    )
    images = RNG.normal(size=(3, 4, 4, 2)).astype("float32")
    # Each of 32 inputs goes to one output, by gamma / std / 4.
    expected = 16 * ((3 / 2 / 4) ** 2 + (1 / 2 / 4) ** 2)
    model = ContractiveModel(net, "pooled", 1.0)
    assert float(ops.convert_to_numpy(model.contraction(images))) == (
        pytest.approx(expected, rel=1e-5)
    )
    norm = [ops.convert_to_numpy(v) for v in net.get_layer("norm").weights]
    model.compile(keras.optimizers.SGD(0.0), "mse")
    history = model.fit(images, np.zeros((3, 1)), verbose=0).history
    assert history["contraction"] == pytest.approx([expected], rel=1e-5)
    moved = net.get_layer("norm").get_weights()
    assert not np.array_equal(moved[2], norm[2])  # By the loss' own pass.


def test_no_strength_is_plain_training_to_the_bit():
    plain = compiled(autoencoder())
    model = compiled(ContractiveModel(autoencoder(), "code", strength=0))
    expected = trained(plain, sample_weight=WEIGHTS)
    assert trained(model, sample_weight=WEIGHTS) == expected
    for one, other in zip(
        plain.get_weights(), model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def by_fit():
    model = compiled(ContractiveModel(autoencoder(), "code", strength=0.5))
    return model, trained(model, validation_data=(X, X), epochs=2)


def test_evaluation_is_that_of_the_wrapped_model(by_fit):
    model, history = by_fit
    assert set(history) == {"loss", "contraction", "val_loss"}
    evaluated = model.evaluate(X, X, verbose=0, return_dict=True)
    assert set(evaluated) == {"loss"}
    assert isinstance(model.evaluate(X, X, verbose=0), float)
    plain = compiled(model.model)
    assert plain.evaluate(X, X, verbose=0) == pytest.approx(evaluated["loss"])


@pytest.mark.skipif(BACKEND == "torch", reason="It compiles nothing.")
@pytest.mark.parametrize(
    "way", ["epochs", pytest.param("xla", marks=pytest.mark.slow)]
)
def test_compiled_otherwise_it_trains_alike(by_fit, way):
    expected, history = by_fit
    model = ContractiveModel(autoencoder(), "code", strength=0.5)
    found = trained(
        compiled(model, jit_compile=way == "xla" or "auto"),
        keras.Model.fit if way == "xla" else fit_in_memory,
        validation_data=(X, X),
        epochs=2,
    )
    assert found.keys() == history.keys()
    for name, curve in history.items():
        np.testing.assert_allclose(found[name], curve, rtol=1e-5)
    for a, b in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_scaled_loss_in_float16_scales_the_penalty_too():
    keras.config.set_dtype_policy("mixed_float16")
    net = autoencoder()
    kernel, bias = (w.astype("float64") for w in net.get_weights()[:2])
    value, by_kernel, _ = sigmoid_contraction(kernel, bias, X)
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.1), initial_scale=64.0
    )
    model = compiled(ContractiveModel(net, "code", 3.0), optimizer)
    history = model.fit(
        X, X, sample_weight=np.zeros(24), batch_size=24, verbose=0
    ).history
    assert history["contraction"] == pytest.approx([value], rel=0.01)
    np.testing.assert_allclose(
        kernel - net.get_weights()[0], 0.3 * by_kernel, atol=3e-3
    )


def test_it_saves_and_loads(by_fit, tmp_path):
    model, _ = by_fit
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    configs = [each.get_config() for each in (model, loaded)]
    for config in configs:
        del config["model"]
    assert configs[0] == configs[1]
    np.testing.assert_array_equal(
        model.predict(X, verbose=0), loaded.predict(X, verbose=0)
    )
    histories = [trained(each) for each in (model, loaded)]
    assert histories[0]["contraction"] == pytest.approx(
        histories[1]["contraction"], rel=1e-6
    )


def test_layer_normalization_has_its_second_derivative():
    """Of a weight in front of it, against finite differences."""
    keras.utils.set_random_seed(1)
    net = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(3, "tanh"),
            layers.LayerNormalization(epsilon=0.1, name="code"),
        ]
    )
    model = compiled(ContractiveModel(net, "code", 1.0))
    kernel = net.get_weights()[0]

    def value(move):
        changed = kernel.copy()
        changed[1, 2] += move
        net.layers[0].kernel.assign(changed)
        return float(ops.convert_to_numpy(model.contraction(X)))

    slope = (value(0.02) - value(-0.02)) / 0.04
    value(0.0)
    model.fit(
        X,
        np.zeros((24, 3)),
        sample_weight=np.zeros(24),
        batch_size=24,
        verbose=0,
    )
    moved = kernel[1, 2] - net.get_weights()[0][1, 2]
    assert moved / 0.1 == pytest.approx(slope, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"strength": -1.0}, r"`strength` must.*strength=-1.0"),
        ({"strength": float("nan")}, r"`strength` must.*strength=nan"),
        ({"exact_up_to": -1}, r"`exact_up_to` must.*exact_up_to=-1"),
        ({"samples": 0}, r"`samples` must.*samples=0"),
        ({"layer_name": "cod"}, r"`layer_name` must.*'decoded'.*'cod'"),
    ],
)
def test_a_bad_argument_is_refused(arguments, match):
    options = {"layer_name": "code", "strength": 1.0, **arguments}
    with pytest.raises(ValueError, match=match):
        ContractiveModel(autoencoder(), **options)


def test_a_model_whose_jacobian_is_not_known_is_refused():
    class Own(keras.Model):
        pass

    words = keras.Sequential(
        [keras.Input((5,), dtype="int32"), layers.Embedding(4, 2, name="code")]
    )
    any_size = keras.Sequential(
        [keras.Input((None, 2)), layers.Dense(3, name="code")]
    )
    for model, reason in [
        (Own(), "functional or sequential"),
        (keras.Sequential([layers.Dense(2, name="code")]), "that is built"),
        (words, "one input of floats"),
        (any_size, "known size"),
    ]:
        with pytest.raises(ValueError, match=re.escape(reason)):
            ContractiveModel(model, "code", 1.0)


TWO_REPLICAS = """
    from keras_regimen.custom_models import ContractiveModel

    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")


    def trained(scope):
        with scope:
            keras.utils.set_random_seed(0)
            code = keras.layers.Dense(3, "sigmoid", name="code")
            net = keras.Sequential(
                [keras.Input((4,)), code, keras.layers.Dense(4)]
            )
            model = ContractiveModel(net, "code", 0.5)
            model.compile("sgd", "mse")
        history = model.fit(
            x, x, batch_size=8, epochs=2, shuffle=False, verbose=0
        ).history
        return [history["loss"], history["contraction"], *model.get_weights()]


    one, two = trained(tf.device("CPU:0")), trained(strategy.scope())
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
"""


@pytest.mark.slow
@pytest.mark.release
def test_two_replicas_train_as_one_device(on_two_replicas):
    on_two_replicas(TWO_REPLICAS)
