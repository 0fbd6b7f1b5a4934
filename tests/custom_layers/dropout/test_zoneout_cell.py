import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import ZoneoutCell
from keras_regimen.custom_layers.dropout.zoneout_cell import draw_kept
from keras_regimen.custom_layers.seed_generator import SeedGenerator

BACKEND = keras.config.backend()
CELLS = {
    "LSTM": keras.layers.LSTMCell,
    "GRU": keras.layers.GRUCell,
    "SimpleRNN": keras.layers.SimpleRNNCell,
}
each_cell = pytest.mark.parametrize("kind", CELLS)


def sequences(rows=3, time=5, features=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, time, features)).astype("float32")


def zoneout(kind, rate, units=4, **options):
    """Returns the cell in zoneout, with seeded weights."""
    init = {
        "kernel_initializer": keras.initializers.GlorotUniform(1),
        "recurrent_initializer": keras.initializers.GlorotUniform(2),
        "bias_initializer": keras.initializers.RandomNormal(stddev=1, seed=3),
    }
    return ZoneoutCell(CELLS[kind](units, **init), rate, **options)


def run(cell, x, training=False, mask=None, wrap=None, **options):
    unroll = training and BACKEND == "jax"
    layer = keras.layers.RNN(cell, unroll=unroll, **options)
    layer = wrap(layer) if wrap else layer
    mask = None if mask is None else ops.convert_to_tensor(mask)
    outputs = layer(x, training=training, mask=mask)
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def by_hand(cell, rates, x, mask=None):
    """Runs the bare cell step by step, and averages its states in NumPy."""
    flat = [np.zeros((len(x), 4), "float32") for _ in rates]
    outputs = []
    for t in range(x.shape[1]):
        _, new = cell(x[:, t], [ops.convert_to_tensor(s) for s in flat])
        new = [ops.convert_to_numpy(s) for s in keras.tree.flatten(new)]
        mixed = [
            r * old + (1 - r) * s
            for r, old, s in zip(rates, flat, new, strict=True)
        ]
        active = True if mask is None else mask[:, t, None]
        flat = [
            np.where(active, m, old) for m, old in zip(mixed, flat, strict=True)
        ]
        outputs.append(flat[0])
    return np.stack(outputs, 1), flat


@pytest.mark.parametrize("training", [False, True])
@each_cell
def test_rate_0_is_the_bare_cell_to_the_bit(kind, training):
    cell = zoneout(kind, 0)
    wrapped = run(cell, sequences(), training, return_sequences=True)
    bare = run(cell.cell, sequences(), training, return_sequences=True)
    np.testing.assert_array_equal(wrapped, bare)


@pytest.mark.parametrize("training", [False, True])
@each_cell
def test_rate_1_keeps_the_initial_state(kind, training):
    cell = zoneout(kind, 1)
    start = [np.full((3, 4), 0.25 * (i + 1), "float32") for i in range(2)]
    start = start[: len(keras.tree.flatten(cell.state_size))]
    layer = keras.layers.RNN(cell, return_state=True)
    output, *states = layer(sequences(), initial_state=start, training=training)
    np.testing.assert_array_equal(ops.convert_to_numpy(output), start[0])
    for state, old in zip(states, start, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(state), old)


@each_cell
def test_inference_takes_the_expectation(kind):
    cell = zoneout(kind, 0.3)
    outputs, *states = run(
        cell, sequences(), return_sequences=True, return_state=True
    )
    expected, last = by_hand(cell.cell, [0.3] * len(states), sequences())
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(states, last, rtol=1e-5, atol=1e-6)


def test_each_state_has_a_rate_of_its_own():
    cell = zoneout("LSTM", [0.1, 0.7])
    outputs = run(cell, sequences(), return_sequences=True)
    expected, _ = by_hand(cell.cell, [0.1, 0.7], sequences())
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    swapped, _ = by_hand(cell.cell, [0.7, 0.1], sequences())
    assert np.abs(expected - swapped).max() > 1e-2


def test_units_keep_their_value_or_take_the_new_one():
    cell = ZoneoutCell(keras.layers.LSTMCell(64), [0.2, 0.6], seed=1)
    rng = np.random.default_rng(0)
    before = [rng.normal(size=(64, 64)).astype("float32") for _ in range(2)]
    x = rng.normal(size=(64, 2)).astype("float32")
    output, states = cell(x, before, training=True)
    _, after = cell.cell(x, before)
    kept = []
    for state, old, new in zip(states, before, after, strict=True):
        state, new = map(ops.convert_to_numpy, (state, new))
        kept.append(state == old)
        np.testing.assert_array_equal(state, np.where(kept[-1], old, new))
    np.testing.assert_array_equal(
        *map(ops.convert_to_numpy, (output, states[0]))
    )
    # Of 64 * 64 units: one sigma is 0.00625 and 0.0077.
    assert abs(kept[0].mean() - 0.2) < 4 * 0.00625
    assert abs(kept[1].mean() - 0.6) < 4 * 0.0077
    # The masks are independent: both keep with 0.12, one sigma is 0.0051.
    assert abs((kept[0] & kept[1]).mean() - 0.12) < 4 * 0.0051


def test_every_step_draws_anew():
    class Counter(keras.layers.Layer):
        state_size = 64

        def call(self, inputs, states):
            return states[0] + 1.0, [states[0] + 1.0]

    cell = ZoneoutCell(Counter(), 0.5, seed=2)
    x = np.zeros((64, 10, 1), "float32")
    layer = keras.layers.RNN(cell, unroll=BACKEND == "jax", return_state=True)
    output, count = layer(x, training=True)
    count = ops.convert_to_numpy(count)
    # Binomial(10, 0.5) over 4096 units: its mean has sigma 0.0247, its
    # variance, 2.5, has sigma 0.053.
    assert abs(count.mean() - 5) < 4 * 0.0247
    assert abs(count.var() - 2.5) < 4 * 0.053
    # This cell's output is another tensor than its state, and stays.
    ahead = ops.convert_to_numpy(output) - count
    assert set(np.unique(ahead)) == {0, 1}


def test_nothing_is_drawn_where_nothing_is_random():
    cell = zoneout("LSTM", [0, 1], seed=1)
    before = ops.convert_to_numpy(cell.seed_generator.state).copy()
    cell(sequences()[:, 0], [ops.zeros((3, 4))] * 2, training=True)
    after = ops.convert_to_numpy(cell.seed_generator.state)
    np.testing.assert_array_equal(after, before)


def test_weights_are_there_before_the_first_call():
    # Or `load_weights` would load nothing, without a word.
    layer = keras.layers.RNN(zoneout("LSTM", 0.3))
    layer.build((None, None, 2))
    shapes = [tuple(weight.shape) for weight in layer.weights]
    assert shapes == [(2, 16), (4, 16), (16,)]


def test_small_rate_is_met():
    kept = draw_kept((1024, 1024), 1e-4, SeedGenerator(0))
    # Of 2**20: float16 would keep ten times as many. One sigma is 10.2.
    assert abs(int(ops.sum(ops.cast(kept, "int32"))) - 104.9) < 4 * 10.2


def test_start_and_output_of_the_cell_are_its_own():
    class Doubling(keras.layers.Layer):
        state_size, output_size = 3, 2

        def get_initial_state(self, batch_size=None):
            return [ops.ones((batch_size, 3))]

        def call(self, inputs, states):
            return 2 * states[0][:, :2], [2 * states[0]]

    layer = keras.layers.RNN(ZoneoutCell(Doubling(), 0.5))
    assert layer.compute_output_shape((4, 2, 1)) == (4, 2)
    # From 1 to the mean of 1 and 2, and then what the cell makes of it.
    outputs = ops.convert_to_numpy(layer(np.zeros((4, 2, 1))))
    np.testing.assert_array_equal(outputs, np.full((4, 2), 3.0))


def test_hidden_state_sees_the_memory_before_zoneout():
    cell = zoneout("LSTM", [0, 1])
    hidden, _ = cell.cell(sequences()[:, 0], [ops.zeros((3, 4))] * 2)
    zoned, _ = cell(sequences()[:, 0], [ops.zeros((3, 4))] * 2)
    np.testing.assert_array_equal(*map(ops.convert_to_numpy, (zoned, hidden)))
    assert np.abs(ops.convert_to_numpy(hidden)).min() > 1e-4


@each_cell
def test_masked_steps_change_no_state(kind):
    cell = zoneout(kind, 0.3)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 1, 0]]) > 0
    outputs, *states = run(
        cell, sequences(), mask=mask, return_sequences=True, return_state=True
    )
    expected, last = by_hand(cell.cell, [0.3] * len(states), sequences(), mask)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(states, last, rtol=1e-5, atol=1e-6)


@each_cell
def test_both_directions(kind):
    outputs = run(
        zoneout(kind, 0.3),
        sequences(),
        wrap=keras.layers.Bidirectional,
        return_sequences=True,
    )
    rates = [0.3] * (2 if kind == "LSTM" else 1)
    bare = zoneout(kind, 0.3).cell
    forward, _ = by_hand(bare, rates, sequences())
    backward, _ = by_hand(bare, rates, sequences()[:, ::-1])
    expected = np.concatenate([forward, backward[:, ::-1]], axis=-1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


def test_stateful_halves_make_the_whole():
    cell = zoneout("LSTM", 0.3)
    layer = keras.layers.RNN(cell, stateful=True)
    for half in (sequences()[:, :2], sequences()[:, 2:]):
        outputs = layer(half)
    expected = run(cell, sequences())
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs), expected, rtol=1e-6, atol=1e-7
    )


def test_stack_of_cells_is_one_after_the_other():
    cells = [zoneout("LSTM", 0.3), zoneout("SimpleRNN", 0.3, units=5)]
    first = run(cells[0], sequences(), return_sequences=True)
    expected = run(cells[1], first)
    np.testing.assert_allclose(
        run(cells, sequences()), expected, rtol=1e-5, atol=1e-6
    )
    drawn = [run(cells, sequences(), training=True) for _ in range(2)]
    assert np.abs(drawn[0] - drawn[1]).max() > 1e-2


def test_model_with_a_wrapped_cell_saves_and_loads(tmp_path):
    layer = keras.layers.RNN(zoneout("GRU", [0.3], seed=5, name="zoned"))
    model = keras.Sequential([keras.Input((None, 2)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    cell = loaded.layers[0].cell
    assert (cell.name, cell.rate, cell.seed) == ("zoned", [0.3], 5)
    assert (type(cell.cell), cell.cell.units) == (keras.layers.GRUCell, 4)
    fresh = keras.models.clone_model(model)
    model.save_weights(tmp_path / "all.weights.h5")
    fresh.load_weights(tmp_path / "all.weights.h5")
    for other in (loaded, fresh):
        np.testing.assert_array_equal(
            other.predict(sequences(), verbose=0),
            model.predict(sequences(), verbose=0),
        )


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_dtype_is_that_of_the_cell(policy):
    cell = ZoneoutCell(keras.layers.LSTMCell(4, dtype=policy), 0.3)
    assert cell.dtype_policy.name == policy
    output, states = cell(ops.ones((2, 3)), [ops.zeros((2, 4))] * 2)
    for tensor in (output, *states):
        assert keras.backend.standardize_dtype(tensor.dtype) == policy[6:]


@pytest.mark.skipif(BACKEND != "jax", reason="others draw in a loop")
def test_loop_that_is_not_unrolled_is_refused_in_training():
    layer = keras.layers.RNN(zoneout("LSTM", 0.5))
    with pytest.raises(ValueError, match="unroll=True.*rate=0.5"):
        layer(sequences(), training=True)
    assert layer(sequences(), training=False).shape == (3, 4)
    model = keras.Sequential([keras.layers.Dense(2), layer])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="unroll=True.*rate=0.5"):
        model.fit(sequences(), np.ones((3, 4)), verbose=0)


@pytest.mark.parametrize(
    "rate", [-0.1, 1.1, float("nan"), None, "half", [0.1], [0.1, 2], [0.1] * 3]
)
def test_bad_rate_says_what_was_received(rate):
    with pytest.raises(ValueError, match=r"`rate` must.*Received: rate="):
        ZoneoutCell(keras.layers.LSTMCell(4), rate)


@pytest.mark.parametrize(
    "cell",
    [
        None,
        keras.layers.Dense(3),
        keras.layers.StackedRNNCells([keras.layers.LSTMCell(2)] * 2),
    ],
)
def test_what_is_no_single_cell_is_refused(cell):
    with pytest.raises(ValueError, match=r"`cell` must be.*Received: cell="):
        ZoneoutCell(cell, 0.1)


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
def test_cell_with_dropout_of_its_own_is_refused(name):
    cell = keras.layers.GRUCell(4, **{name: 0.2})
    with pytest.raises(ValueError, match=rf"no `{name}`.*cell.{name}=0.2"):
        ZoneoutCell(cell, 0.1)
