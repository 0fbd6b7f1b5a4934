import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import UnbiasedBatchNormalization
from keras_regimen.custom_models import prune, widen

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 6)).astype("float32")
IMAGES = RNG.normal(size=(3, 8, 8, 2)).astype("float32")
TORCH = keras.config.backend() == "torch"


def numbers(model):
    return [np.array(ops.convert_to_numpy(w)) for w in model.weights]


def predict(model, x):
    return ops.convert_to_numpy(model(x, training=False))


def randomize(model):
    for weight in model.weights:
        weight.assign(RNG.uniform(0.3, 1.3, weight.shape) / 2)
    return model


def net(**options):
    inputs = keras.Input((6,))
    x = layers.Dense(4, name="hidden", **options)(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Dropout(0.5)(ops.relu(x))
    outputs = layers.Dense(3, name="head")(x), layers.Dense(2, name="b")(x)
    x = layers.Concatenate()(outputs)
    return randomize(keras.Model(inputs, x))


def conv_net():
    return randomize(
        keras.Sequential(
            [
                keras.Input((8, 8, 2)),
                layers.Conv2D(3, 3, name="first"),
                UnbiasedBatchNormalization(name="norm"),
                layers.PReLU(shared_axes=[1, 2]),
                layers.MaxPooling2D(2),
                layers.DepthwiseConv2D(2, name="depthwise"),
                layers.Conv2DTranspose(4, 2, name="up", activation="relu"),
                layers.Conv2D(5, 2, name="last", activation="tanh"),
                layers.Flatten(),
                layers.Dense(2, name="head"),
            ]
        )
    )


def test_dense_function_is_preserved_and_the_old_model_left_alone():
    model = net(activation="tanh")
    before, expected = numbers(model), predict(model, X)
    wide = widen(model, "hidden", 11, seed=0)
    assert wide.get_layer("hidden").units == 11
    assert wide.get_layer("norm").gamma.shape == (11,)
    assert wide.get_layer("head").kernel.shape == (11, 3)
    np.testing.assert_allclose(predict(wide, X), expected, atol=1e-5, rtol=1e-5)
    for one, two in zip(before, numbers(model), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(predict(model, X), expected)


def test_copies_have_the_incoming_weights_and_a_share_of_the_outgoing():
    model = net()
    wide = widen(model, "hidden", 9, seed=1)
    kernel, new = (
        ops.convert_to_numpy(m.get_layer("hidden").kernel)
        for m in (model, wide)
    )
    np.testing.assert_array_equal(new[:, :4], kernel)
    origin = [np.flatnonzero((unit == kernel.T).all(1))[0] for unit in new.T]
    count = np.bincount(origin, minlength=4)
    assert count.max() > 1
    head, wider = (
        ops.convert_to_numpy(m.get_layer("head").kernel) for m in (model, wide)
    )
    np.testing.assert_allclose(
        wider, head[origin] / count[origin][:, None], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("first", 7),
        pytest.param("up", 9, marks=pytest.mark.slow),
        pytest.param("last", 6, marks=pytest.mark.slow),
    ],
)
def test_convolutions_grow_with_what_stands_between(name, units, tmp_path):
    model = conv_net()
    wide = widen(model, name, units, seed=0)
    assert wide.get_layer(name).filters == units
    np.testing.assert_allclose(
        predict(wide, IMAGES), predict(model, IMAGES), rtol=1e-5, atol=1e-5
    )
    if name == "first":
        assert wide.get_layer("depthwise").kernel.shape == (2, 2, 7, 1)
        wide.save(tmp_path / "wide.keras")
        loaded = keras.saving.load_model(tmp_path / "wide.keras")
        np.testing.assert_array_equal(
            predict(loaded, IMAGES), predict(wide, IMAGES)
        )


@pytest.mark.skipif(
    keras.config.backend() == "tensorflow", reason="not on a CPU"
)
def test_channels_first_are_flattened_in_keras_order():
    model = keras.Sequential(
        [
            keras.Input((2, 5, 5)),
            layers.Conv2D(3, 2, data_format="channels_first", name="conv"),
            layers.Flatten(data_format="channels_first"),
            layers.Dense(2),
        ]
    )
    x = RNG.normal(size=(2, 2, 5, 5)).astype("float32")
    np.testing.assert_allclose(
        predict(widen(model, "conv", 8, seed=0), x),
        predict(model, x),
        atol=1e-5,
    )


def test_noise_parts_the_copies_alone_and_the_seed_fixes_it():
    model = net()
    exact = widen(model, "hidden", 9, seed=3)
    noisy, again = (
        widen(model, "hidden", 9, noise=0.1, seed=3) for _ in range(2)
    )
    kernels = [
        ops.convert_to_numpy(m.get_layer("hidden").kernel)
        for m in (exact, noisy, again)
    ]
    np.testing.assert_array_equal(kernels[1], kernels[2])
    np.testing.assert_array_equal(kernels[0][:, :4], kernels[1][:, :4])
    moved = (kernels[1] - kernels[0])[:, 4:]
    deviation = 0.1 * np.std(kernels[0])
    # 30 normal numbers: one sigma of their deviation is 13 %.
    assert 0.5 * deviation < np.std(moved) < 1.5 * deviation
    for one, two in zip(numbers(exact)[1:], numbers(noisy)[1:], strict=True):
        np.testing.assert_array_equal(one, two)


def with_state(make):
    """Returns what a layer's slots are after a step, wide before and after."""
    model = net()
    wide = widen(model, "hidden", 9, seed=0)
    y = RNG.normal(size=(16, 5)).astype("float32")
    for trained in (wide, model):
        for layer in trained.layers:
            if isinstance(layer, layers.Dropout):
                layer.rate = 0.0
        trained.compile(make(), "mse", run_eagerly=TORCH)
        trained.train_on_batch(X, y)
    after = widen(model, "hidden", 9, seed=0, optimizer=model.optimizer)
    slots = [
        [np.array(ops.convert_to_numpy(v)) for v in optimizer.variables]
        for optimizer in (wide.optimizer, after.optimizer)
    ]
    return after, slots


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(0.01),
        pytest.param(
            lambda: keras.optimizers.SGD(0.01, momentum=0.9),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_state_is_what_the_wide_net_would_have_had(make):
    after, (expected, found) = with_state(make)
    assert after.compiled
    assert after.loss == "mse"
    assert len(expected) == len(found) >= 10
    for one, two in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-6)
    assert sum(np.any(slot != 0) for slot in found) >= 9
    after.train_on_batch(X, np.ones((16, 5)))
    assert int(after.optimizer.iterations) == 2


def test_state_of_another_shape_is_refused():
    model = net()
    model.compile(keras.optimizers.Adafactor(0.01), "mse")
    model.optimizer.build(model.trainable_variables)
    with pytest.raises(ValueError, match="Adafactor is not one value"):
        widen(model, "hidden", 9, optimizer=model.optimizer)
    plain = net()
    with pytest.raises(ValueError, match="compiled=False"):
        widen(plain, "hidden", 9, optimizer=keras.optimizers.SGD())


def branched(kind):
    inputs = keras.Input((6,))
    x = layers.Dense(6, name="hidden")(inputs)
    if kind == "sum":
        x = x + inputs
    elif kind == "mixing":
        x = layers.LayerNormalization(name="mix")(x)
    elif kind == "recurrent":
        x = layers.SimpleRNN(2, name="rnn")(layers.Reshape((1, 6))(x))
    elif kind == "nested":
        tower = [keras.Input((6,)), layers.Dense(2)]
        x = keras.Sequential(tower, name="tower")(x)
    elif kind == "outputs":
        return keras.Model(inputs, [x, layers.Dense(2)(x)])
    elif kind == "twice":
        dense = layers.Dense(6, name="shared")
        x = dense(dense(x))
    return keras.Model(inputs, layers.Dense(2, name="head")(x))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("sum", "cannot be widened: 'add.*other tensors"),
        ("mixing", "'mix', a LayerNormalization, mixes channels"),
        ("recurrent", "'reshape'.* no other width"),
        ("nested", "'tower'.*model of its own"),
        ("outputs", "outputs of the model.*'hidden'"),
        ("twice", "'shared'.*other tensors"),
    ],
)
def test_what_cannot_grow_with_the_layer_is_named(kind, message):
    with pytest.raises(ValueError, match=message):
        # Not twice as wide, of which a layer normalization sees nothing.
        widen(branched(kind), "hidden", 9, seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer_name": "hiden", "units": 9}, "'hiden'.*not among.*'hidden'"),
        ({"layer_name": "norm", "units": 9}, "'norm'.*BatchNormalization"),
        ({"layer_name": "hidden", "units": 4}, "above 4.*units=4"),
        ({"layer_name": "hidden", "units": 5.5}, "units=5.5"),
        ({"layer_name": "hidden", "units": 9, "noise": -1}, "noise=-1"),
        (
            {"layer_name": "hidden", "units": 9, "noise": float("nan")},
            "noise=nan",
        ),
    ],
)
def test_bad_arguments_say_what_came(arguments, message):
    with pytest.raises(ValueError, match=message):
        widen(net(), **arguments)


def test_softmax_units_and_pruned_layers_are_refused():
    with pytest.raises(ValueError, match="each unit alone.*softmax"):
        widen(net(activation="softmax"), "hidden", 9)
    with pytest.raises(ValueError, match="'hidden' is pruned.*strip"):
        widen(prune(net(), 0.5), "hidden", 9)


def test_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional or sequential.*Own"):
        widen(Own(), "hidden", 9)
