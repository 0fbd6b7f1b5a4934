import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import (
    SeedGenerator,
    ZoneoutCell,
    ZoneoutLSTM,
)

BACKEND = keras.config.backend()
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1]]) > 0


def sequences(rows=3, time=5, features=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, time, features)).astype("float32")


def run(layer, x, training=False, **options):
    outputs = layer(x, training=training, **options)
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(layer, x, mix, mask=None):
    """An LSTM in NumPy; `mix(t, old, new)` does what zoneout does."""
    kernel, recurrent, bias = map(ops.convert_to_numpy, layer.cell.weights[:3])
    h = c = np.zeros((len(x), layer.units))
    outputs = []
    for t in range(x.shape[1]):
        z = x[:, t] @ kernel + h @ recurrent + bias
        i, f, g, o = np.split(z, 4, axis=1)
        memory = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        new = mix(t, (h, c), (sigmoid(o) * np.tanh(memory), memory))
        active = True if mask is None else mask[:, t, None]
        h, c = (
            np.where(active, n, p) for n, p in zip(new, (h, c), strict=True)
        )
        outputs.append(h)
    return np.stack(outputs, axis=1), h, c


def average(hidden_rate, cell_rate):
    def mix(t, old, new):
        rates = hidden_rate, cell_rate
        return [
            r * p + (1 - r) * n for r, p, n in zip(rates, old, new, strict=True)
        ]

    return mix


def sample(layer, rows, time):
    """Mixes by the masks that a fresh layer of this seed draws."""
    seeds = SeedGenerator(layer.seed)
    noise = [
        ops.convert_to_numpy(
            keras.random.uniform((time, rows, layer.units), seed=seeds)
        )
        for _ in range(2)
    ]
    rates = layer.hidden_rate, layer.cell_rate
    kept = [n < r for n, r in zip(noise, rates, strict=True)]

    def mix(t, old, new):
        return [
            np.where(k[t], p, n) for k, p, n in zip(kept, old, new, strict=True)
        ]

    return mix


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("unroll", [False, True])
def test_rates_0_are_the_plain_lstm_to_the_bit(training, unroll):
    options = {"return_sequences": True, "unroll": unroll}
    layer = ZoneoutLSTM(4, 0, 0, **options)
    plain = keras.layers.LSTM(4, use_cudnn=False, **options)
    plain.build((3, 5, 2))
    layer.build((3, 5, 2))
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(
        run(layer, sequences(), training), run(plain, sequences(), training)
    )


@pytest.mark.parametrize("training", [False, True])
def test_rates_1_keep_the_initial_state(training):
    layer = ZoneoutLSTM(4, 1, 1, return_state=True)
    start = [np.full((3, 4), 0.25, "float32"), np.full((3, 4), 0.5, "float32")]
    output, *states = run(layer, sequences(), training, initial_state=start)
    np.testing.assert_array_equal(output, start[0])
    np.testing.assert_array_equal(states, start)


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_equals_numpy_with_the_same_masks(mask, training, unroll, backwards):
    layer = ZoneoutLSTM(
        4,
        0.3,
        0.6,
        seed=3,
        return_sequences=True,
        return_state=True,
        unroll=unroll,
        go_backwards=backwards,
    )
    x = sequences()
    tensor = None if mask is None else ops.convert_to_tensor(mask)
    outputs, *states = run(layer, x, training, mask=tensor)
    mix = sample(layer, 3, 5) if training else average(0.3, 0.6)
    if backwards:
        x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
    expected, *last = by_hand(layer, x, mix, mask)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(states, last, rtol=1e-5, atol=1e-6)


def test_inference_equals_the_wrapped_cell():
    layer = ZoneoutLSTM(4, 0.3, 0.6, return_sequences=True)
    outputs = run(layer, sequences())
    cell = ZoneoutCell(layer.cell, [0.3, 0.6])
    wrapped = keras.layers.RNN(cell, return_sequences=True)
    np.testing.assert_allclose(
        outputs, run(wrapped, sequences()), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("training", [False, True])
def test_masked_outputs_can_be_zero(training):
    options = {"return_sequences": True, "seed": 3}
    layer = ZoneoutLSTM(4, 0.3, 0.6, zero_output_for_mask=True, **options)
    mask = ops.convert_to_tensor(MASK)
    outputs = run(layer, sequences(), training, mask=mask)
    mix = sample(layer, 3, 5) if training else average(0.3, 0.6)
    expected, _, _ = by_hand(layer, sequences(), mix, MASK)
    np.testing.assert_allclose(
        outputs, expected * MASK[..., None], rtol=1e-5, atol=1e-6
    )


def test_calls_and_states_have_masks_of_their_own():
    layer = ZoneoutLSTM(64, 0.5, 0.5, seed=1, return_sequences=True)
    x = np.repeat(sequences(1, 1), 64, axis=0)
    first, second = run(layer, x, True), run(layer, x, True)
    # After one step the hidden state is 0 where it was kept.
    shares = [(y == 0).mean() for y in (first, second)]
    # Of 4096 units: one sigma is 0.0078; both calls keep with 0.25, 0.0068.
    assert np.abs(np.array(shares) - 0.5).max() < 4 * 0.0078
    assert abs(((first == 0) & (second == 0)).mean() - 0.25) < 4 * 0.0068


def test_stateful_halves_make_the_whole():
    layer = ZoneoutLSTM(4, 0.3, 0.6, stateful=True)
    for half in (sequences()[:, :2], sequences()[:, 2:]):
        outputs = run(layer, half)
    expected, _, _ = by_hand(layer, sequences(), average(0.3, 0.6))
    np.testing.assert_allclose(outputs, expected[:, -1], rtol=1e-5, atol=1e-6)


def test_both_directions_draw_different_masks():
    layer = keras.layers.Bidirectional(
        ZoneoutLSTM(64, 0.5, 0.5, return_sequences=True), merge_mode=None
    )
    forward, backward = run(layer, sequences(8, 1), True)
    assert 0.3 < (forward == 0).mean() < 0.7
    assert np.mean((forward == 0) != (backward == 0)) > 0.3


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="Keras multiplies in float32 there"
)
@pytest.mark.parametrize("unroll", [False, True])
def test_gradient_equals_differences_in_float64(unroll):
    keras.config.set_dtype_policy("float64")
    layer = ZoneoutLSTM(3, 0.3, 0.5, seed=1, unroll=unroll)
    model = keras.Sequential([keras.Input((4, 2)), layer])
    x = sequences(3, 4).astype("float64")

    def loss(_, outputs):
        return ops.sum(ops.sin(3 * outputs)) / 3

    model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
    before = model.get_weights()
    start = ops.convert_to_numpy(layer.seed_generator.state)

    def value(weights):
        for variable, weight in zip(model.weights, weights, strict=True):
            variable.assign(ops.convert_to_tensor(weight, "float64"))
        layer.seed_generator.state.assign(start)  # The same masks again.
        outputs = ops.convert_to_numpy(layer(x, training=True))
        return np.sin(3 * outputs).sum() / 3

    model.train_on_batch(x, np.zeros((3, 3)))
    gradients = [
        b - a for a, b in zip(model.get_weights(), before, strict=True)
    ]
    rng = np.random.default_rng(2)
    for _ in range(3):
        direction = [rng.normal(size=w.shape) for w in before]
        ends = [
            value([w + s * d for w, d in zip(before, direction, strict=True)])
            for s in (1e-5, -1e-5)
        ]
        slope = sum(
            (g * d).sum() for g, d in zip(gradients, direction, strict=True)
        )
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-5, rtol=1e-6)


def test_dropout_draws_other_bits_than_zoneout():
    layer = ZoneoutLSTM(4, seed=7, dropout=0.5)
    assert layer.get_config()["seed"] == 7
    states = layer.seed_generator.state, layer.cell.seed_generator.state
    assert not np.array_equal(*map(ops.convert_to_numpy, states))


@pytest.mark.parametrize("name", ["hidden_rate", "cell_rate"])
@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), None, "half"])
def test_bad_rate_says_what_was_received(name, rate):
    with pytest.raises(ValueError, match=rf"`{name}` must.*{name}={rate}"):
        ZoneoutLSTM(4, **{name: rate})


def test_bad_seed_says_what_was_received():
    with pytest.raises(ValueError, match="`seed` must be.*seed=-1"):
        ZoneoutLSTM(4, seed=-1)
