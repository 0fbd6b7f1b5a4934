import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import BatchNormLSTM, BatchNormLSTMCell

BACKEND = keras.config.backend()


def sequences(rows=4, time=5, features=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, time, features)).astype("float32")


def scramble(*layers):
    for layer in layers:
        layer.build((4, 5, 2))
        rng = np.random.default_rng(1)
        layer.set_weights(
            [rng.uniform(0.2, 1, size=w.shape) for w in layer.weights]
        )


def run(layer, x, training=False, **options):
    outputs = layer(x, training=training, **options)
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("max_length", [5, 3])
@pytest.mark.parametrize("options", [{}, {"use_bias": False}])
def test_equals_the_layer(training, max_length, options):
    cell = BatchNormLSTMCell(3, max_length, momentum=0.5, **options)
    unroll = training and BACKEND == "jax"
    bare = keras.layers.RNN(cell, True, True, unroll=unroll)
    layer = BatchNormLSTM(
        3,
        max_length,
        momentum=0.5,
        return_sequences=True,
        return_state=True,
        **options,
    )
    scramble(bare, layer)
    for _ in range(2):
        for one, other in zip(
            run(bare, sequences(), training),
            run(layer, sequences(), training),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_unrolled_training_moves_what_the_layer_moves():
    cell = BatchNormLSTMCell(3, 4, momentum=0.5)
    bare = keras.layers.RNN(cell, unroll=True)
    layer = BatchNormLSTM(3, 4, momentum=0.5)
    scramble(bare, layer)
    for x in (sequences(), sequences(time=2)):
        run(bare, x, training=True)
        run(layer, x, training=True)
    for one, other in zip(bare.get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_frozen_cell_uses_and_keeps_the_moving_statistics():
    cell = BatchNormLSTMCell(3, 5)
    layer = keras.layers.RNN(cell)
    scramble(layer)
    cell.trainable = False
    before = layer.get_weights()
    np.testing.assert_array_equal(
        run(layer, sequences(), training=True), run(layer, sequences())
    )
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_each_sample_takes_the_statistics_of_its_own_step():
    cell = BatchNormLSTMCell(3, 5)
    scramble(cell)
    rng = np.random.default_rng(2)
    states = [rng.normal(size=(3, 3)).astype("float32") for _ in range(2)]
    counts = np.array([[0, 0], [4, 0], [0, 1]], "float32")  # 256 is beyond.
    x = sequences(3)[:, 0]
    together, (_, _, after) = cell(x, [*states, counts])
    np.testing.assert_array_equal(
        ops.convert_to_numpy(after), [[1, 0], [5, 0], [5, 0]]
    )
    for i in range(3):
        one = [state[i : i + 1] for state in (*states, counts)]
        alone, _ = cell(x[i : i + 1], one)
        np.testing.assert_allclose(
            ops.convert_to_numpy(alone)[0],
            ops.convert_to_numpy(together)[i],
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_count_is_exact_in_every_dtype(dtype):
    cell = BatchNormLSTMCell(3, 2**16)
    steps = np.array([0, 1, 255, 256, 257, 2049, 65535, 65536, 70000])
    counted = cell.counted(
        ops.convert_to_tensor(steps, "int32"), ops.zeros((9, 1), dtype)
    )
    assert keras.backend.standardize_dtype(counted.dtype) == dtype
    np.testing.assert_array_equal(
        ops.convert_to_numpy(cell.steps(counted)), np.minimum(steps, 65536)
    )


def test_masked_inference_equals_the_layer():
    mask = np.arange(5) < np.array([[5], [2], [4], [1]])
    options = {"return_sequences": True, "return_state": True}
    bare = keras.layers.RNN(BatchNormLSTMCell(3, 5), **options)
    layer = BatchNormLSTM(3, 5, **options)
    scramble(bare, layer)
    mask = ops.convert_to_tensor(mask)
    one = run(bare, sequences(), mask=mask)
    other = run(layer, sequences(), mask=mask)
    for a, b in zip(one[:3], other[:3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_stack_trains_saves_and_loads(tmp_path):
    cells = [BatchNormLSTMCell(3, 2, momentum=0.5) for _ in range(2)]
    layer = keras.layers.RNN(cells, unroll=BACKEND == "jax")
    model = keras.Sequential([keras.Input((2, 2)), layer])
    x = sequences(time=2)
    for _ in range(2):
        layer(x, training=True)
    for cell in cells:
        mean = ops.convert_to_numpy(cell.moving_mean["input"])
        assert (np.abs(mean) > 0).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    fresh = keras.models.clone_model(model)
    model.save_weights(tmp_path / "all.weights.h5")
    fresh.load_weights(tmp_path / "all.weights.h5")
    for other in (loaded, fresh):
        np.testing.assert_array_equal(
            other.predict(x, verbose=0), model.predict(x, verbose=0)
        )


@pytest.mark.skipif(BACKEND != "jax", reason="others update in a loop")
def test_loop_that_is_not_unrolled_is_refused_in_training():
    layer = keras.layers.RNN(BatchNormLSTMCell(3, 5))
    with pytest.raises(ValueError, match="unroll=True.*BatchNormLSTM"):
        layer(sequences(), training=True)
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="unroll=True.*BatchNormLSTM"):
        model.fit(sequences(), np.ones((4, 3)), verbose=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("units", -1), ("max_length", 1.5), ("momentum", 2), ("epsilon", -1)],
)
def test_bad_argument_says_what_was_received(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must.*{name}={value}"):
        BatchNormLSTMCell(**{"units": 3, "max_length": 5, name: value})
