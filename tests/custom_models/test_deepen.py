import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_models import deepen, masks_of, prune

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
Y = RNG.normal(size=(16, 2)).astype("float32")


def numbers(model):
    return [np.array(ops.convert_to_numpy(w)) for w in model.weights]


def predict(model, x, training=False):
    return ops.convert_to_numpy(model(x, training=training))


def randomize(model):
    for weight in model.weights:
        weight.assign(RNG.uniform(0.3, 1.3, weight.shape) - 0.5)
    return model


def net(activation="relu"):
    return randomize(
        keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(8, activation, name="first"),
                layers.Dense(5, name="second"),
                layers.BatchNormalization(name="norm", gamma_constraint=None),
                layers.ReLU(name="relu"),
                layers.Dense(2, name="head"),
            ]
        )
    )


def positive_variance(model):
    norm = model.get_layer("norm")
    norm.moving_variance.assign(np.abs(norm.moving_variance))
    return model


@pytest.fixture
def model():
    return positive_variance(net())


def names(model):
    return [layer.name for layer in model.layers]


@pytest.mark.parametrize(
    ("name", "added"),
    [
        ("first", ["first_deeper"]),
        ("second", ["second_deeper", "norm_deeper", "relu_deeper"]),
        ("head", ["head_deeper"]),
    ],
)
def test_function_is_preserved_and_the_old_model_left_alone(model, name, added):
    before, expected = numbers(model), predict(model, X)
    deep = deepen(model, name)
    assert [n for n in names(deep) if n not in names(model)] == added
    np.testing.assert_allclose(predict(deep, X), expected, atol=1e-5)
    for one, two in zip(before, numbers(model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_normalization_undoes_itself_in_training_where_it_has_seen_data(model):
    deep, blind = deepen(model, "second", X), deepen(model, "second")
    seen = ops.convert_to_numpy(
        keras.Model(model.inputs, model.get_layer("relu").output)([X])
    )
    norm = deep.get_layer("norm_deeper")
    np.testing.assert_allclose(
        ops.convert_to_numpy(norm.moving_mean), seen.mean(0), rtol=1e-5
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(norm.gamma) ** 2, seen.var(0) + 1e-3, rtol=1e-4
    )
    for layer in (m.get_layer("norm") for m in (model, deep, blind)):
        layer.trainable = False  # What is before shall be as at inference.
    expected = predict(model, X)
    np.testing.assert_allclose(predict(deep, X), expected, atol=1e-4)
    np.testing.assert_allclose(predict(deep, X, True), expected, atol=1e-4)
    assert np.abs(predict(blind, X, True) - expected).max() > 0.01


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (layers.Conv1D, {"kernel_size": 3, "padding": "causal"}),
        (layers.Conv2D, {"kernel_size": (4, 3), "strides": 2}),
        (layers.Conv2D, {"kernel_size": 3, "groups": 2, "dilation_rate": 2}),
    ],
)
def test_convolution_begins_as_the_identity(kind, options):
    rank = 1 if kind is layers.Conv1D else 2
    shape = (9,) * rank + (4,)
    inputs = keras.Input(shape)
    x = kind(6, activation="relu", name="conv", **options)(inputs)
    x = layers.Add()([x, layers.Dropout(0.5)(x)])
    model = randomize(keras.Model(inputs, x))
    deep = deepen(deepen(model, "conv"), "conv")
    assert {"conv_deeper", "conv_deeper_2"} < set(names(deep))
    x = RNG.normal(size=(2, *shape)).astype("float32")
    expected = predict(model, x)
    assert np.mean(expected > 0) > 0.2
    np.testing.assert_allclose(predict(deep, x), expected, atol=1e-5)


@pytest.fixture(scope="module")
def continued():
    """A model after two steps of Adam, and a deeper one with its state."""
    model = positive_variance(net())
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    for _ in range(2):
        model.train_on_batch(X, Y)
    model.optimizer.learning_rate = 0.003  # As a callback would set it.
    return model, deepen(model, "first", optimizer=model.optimizer)


def test_state_is_carried_over_and_that_of_the_new_layer_is_zero(continued):
    model, deep = continued
    assert int(deep.optimizer.iterations) == 2
    assert float(deep.optimizer.learning_rate) == pytest.approx(0.003)
    averages = {}
    for trained in (model, deep):
        variables = trained.optimizer.variables[2:]
        # Adam keeps two for each weight, one after the other.
        averages[trained] = {
            weight.path.split("/", 1)[-1]: variables[2 * i : 2 * i + 2]
            for i, weight in enumerate(trained.trainable_variables)
        }
    assert len(averages[deep]) == len(averages[model]) + 2
    for path, slots in averages[deep].items():
        for i, slot in enumerate(slots):
            expected = averages[model].get(path)
            np.testing.assert_array_equal(
                ops.convert_to_numpy(slot),
                0 if expected is None else ops.convert_to_numpy(expected[i]),
            )


def test_deeper_model_trains_saves_and_loads(continued, tmp_path):
    _, deep = continued
    kernel = numbers(deep.get_layer("first_deeper"))[0]
    np.testing.assert_array_equal(kernel, np.eye(8))
    deep.fit(X, Y, batch_size=8, verbose=0)
    assert int(deep.optimizer.iterations) == 4
    assert np.any(numbers(deep.get_layer("first_deeper"))[0] != kernel)
    deep.save(tmp_path / "deep.keras")
    loaded = keras.saving.load_model(tmp_path / "deep.keras", safe_mode=True)
    np.testing.assert_array_equal(predict(loaded, X), predict(deep, X))


@pytest.mark.parametrize("activation", ["tanh", "softmax", "leaky_relu"])
def test_activation_must_be_idempotent(activation):
    with pytest.raises(ValueError, match=f"once, as ReLU.*{activation}"):
        deepen(net(activation), "first")


def test_the_activation_layer_behind_counts():
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(3, name="a"), layers.ELU(name="elu")]
    )
    with pytest.raises(ValueError, match="'elu' would change"):
        deepen(model, "a")
    assert names(deepen(net("relu6"), "first"))[1] == "first_deeper"


def test_normalization_without_scale_cannot_undo_itself():
    norm = layers.BatchNormalization(scale=False, name="norm")
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3), norm])
    with pytest.raises(ValueError, match="'norm'.*scale=False"):
        deepen(model, model.layers[0].name)


def test_new_layer_of_a_pruned_model_has_no_mask(model):
    deep = deepen(prune(model, 0.5), "first")
    assert [mask is None for mask in masks_of(deep)] == [
        False,
        True,
        False,
        False,
    ]


def test_layer_must_be_one_that_is_called_once(model):
    with pytest.raises(ValueError, match="'norm', a BatchNormalization"):
        deepen(model, "norm")
    dense = layers.Dense(6, "relu", name="shared")
    twice = keras.Sequential([keras.Input((6,)), dense])
    twice = keras.Model(twice.inputs, dense(dense(twice.inputs[0])))
    with pytest.raises(ValueError, match="'shared'.*called 2 times"):
        deepen(twice, "shared")
