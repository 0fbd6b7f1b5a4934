import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import BatchNormLSTM

BACKEND = keras.config.backend()
# Steps with four samples, three, two, one and none.
MASK = np.array(
    [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 0, 1, 0, 0], [1, 1, 0, 0, 0]]
)
MASK = MASK > 0


def sequences(rows=4, time=5, features=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, time, features)).astype("float32")


def scrambled(units=3, max_length=5, **options):
    """Returns a built layer whose weights no initializer gives."""
    layer = BatchNormLSTM(units, max_length, momentum=0.7, **options)
    layer.build((4, 5, 2))
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        low = 0.2 if "variance" in weight.path else -1
        weight.assign(rng.uniform(low, 1, size=weight.shape))
    return layer


def run(layer, x, training=False, mask=None, **options):
    mask = None if mask is None else ops.convert_to_tensor(mask)
    outputs = layer(x, training=training, mask=mask, **options)
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def values(layer):
    """Returns the layer's weights by name, in NumPy."""
    return {
        w.path.rsplit("/", 1)[-1]: np.array(ops.convert_to_numpy(w))
        for w in layer.weights
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(layer, x, training, mask=None, start=0, recurrent_mask=1):
    """The paper's equations in NumPy; returns outputs, states, statistics."""
    cell, weight = layer.cell, values(layer)
    mask = np.ones(x.shape[:2], bool) if mask is None else mask
    h = c = np.zeros((len(x), layer.cell.units))
    outputs, moved = [], {k: v.copy() for k, v in weight.items()}
    for t in range(x.shape[1]):
        active = mask[:, t]
        step = start + t

        def normalize(name, a, active=active, step=step):
            means, variances = (
                moved[f"{name}_moving_{kind}"] for kind in ("mean", "variance")
            )
            row = min(step, cell.max_length - 1)
            mean, variance = means[row], variances[row]
            if training:
                seen = a[active] if active.any() else np.zeros_like(a)
                mean, variance = seen.mean(axis=0), seen.var(axis=0)
            if training and step < cell.max_length:
                share = 1 - cell.momentum
                if active.sum() > 0:
                    means[step] += share * (mean - means[step])
                if active.sum() > 1:
                    unbiased = seen.var(axis=0, ddof=1)
                    variances[step] += share * (unbiased - variances[step])
            gamma = weight[f"{name}_gamma"]
            return gamma * (a - mean) / np.sqrt(variance + cell.epsilon)

        z = normalize("input", x[:, t] @ weight["kernel"])
        recurrent = h @ weight["recurrent_kernel"] * recurrent_mask
        z = z + normalize("recurrent", recurrent)
        i, f, g, o = np.split(z + weight["bias"], 4, axis=1)
        memory = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        shifted = normalize("state", memory) + weight["state_beta"]
        new = sigmoid(o) * np.tanh(shifted), memory
        h, c = (
            np.where(active[:, None], n, old)
            for n, old in zip(new, (h, c), strict=True)
        )
        outputs.append(h)
    return np.stack(outputs, axis=1), (h, c), moved


def assert_close(result, expected):
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [5, 8])
def test_is_the_plain_lstm_when_gamma_and_beta_undo_the_statistics(length):
    plain = keras.layers.LSTM(3, return_sequences=True)
    plain.build((4, 5, 2))
    kernel, recurrent, _ = plain.get_weights()
    rng = np.random.default_rng(2)
    bias = rng.normal(size=12)
    plain.set_weights([kernel, recurrent, bias])

    layer = BatchNormLSTM(3, max_length=5, return_sequences=True)
    layer.build((4, 5, 2))
    moving = {}
    for name, size in (("input", 12), ("recurrent", 12), ("state", 3)):
        moving[f"{name}_moving_mean"] = rng.normal(size=size)
        moving[f"{name}_moving_variance"] = rng.uniform(0.1, 2, size=size)
    undo = {
        f"{name}_gamma": np.sqrt(moving[f"{name}_moving_variance"] + 1e-3)
        for name in ("input", "recurrent", "state")
    } | {
        "kernel": kernel,
        "recurrent_kernel": recurrent,
        "bias": bias
        + moving["input_moving_mean"]
        + moving["recurrent_moving_mean"],
        "state_beta": moving["state_moving_mean"],
    }
    for weight in layer.weights:
        value = (undo | moving)[weight.path.rsplit("/", 1)[-1]]
        weight.assign(np.broadcast_to(value, weight.shape))
    x = sequences(time=length)
    assert_close(run(layer, x), run(plain, x))


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_equals_numpy(mask, training, unroll, backwards):
    layer = scrambled(
        return_sequences=True,
        return_state=True,
        unroll=unroll,
        go_backwards=backwards,
    )
    x, order = sequences(), slice(None, None, -1 if backwards else 1)
    expected, last, moved = by_hand(
        layer, x[:, order], training, None if mask is None else mask[:, order]
    )
    outputs, *states, _ = run(layer, x, training, mask)
    assert_close(outputs, expected)
    assert_close(states, last)
    for name, value in values(layer).items():
        assert_close(value, moved[name])


def test_output_of_a_call_is_the_last_step():
    layer = scrambled()
    expected, _, _ = by_hand(layer, sequences(), False)
    assert_close(run(layer, sequences()), expected[:, -1])


def test_masked_outputs_can_be_zero():
    layer = scrambled(return_sequences=True, zero_output_for_mask=True)
    expected, _, _ = by_hand(layer, sequences(), False, MASK)
    outputs = run(layer, sequences(), mask=MASK)
    assert_close(outputs, expected * MASK[..., None])


@pytest.mark.parametrize("training", [False, True])
def test_steps_beyond_the_longest_use_and_move_no_others(training):
    layer = scrambled(max_length=3, return_sequences=True)
    expected, _, moved = by_hand(layer, sequences(), training)
    assert_close(run(layer, sequences(), training), expected)
    for name, value in values(layer).items():
        assert_close(value, moved[name])


def test_shorter_sequences_move_their_steps_only():
    layer = scrambled(max_length=5)
    before = values(layer)
    run(layer, sequences(time=2), training=True)
    for name, value in values(layer).items():
        if "moving" in name:
            np.testing.assert_array_equal(value[2:], before[name][2:])
            assert (value[1] != before[name][1]).all()


def test_scale_starts_at_a_tenth():
    layer = BatchNormLSTM(3, max_length=5)
    layer.build((None, None, 2))
    for name, value in values(layer).items():
        if "gamma" in name:
            np.testing.assert_array_equal(value, np.float32(0.1))
    # Then tanh is nearly linear: the memory's spread sets the output's.
    x = sequences(rows=64, time=1)
    outputs = run(layer, x, training=True)
    assert 0.03 < outputs.std() < 0.07  # About 0.1 * sigmoid(0).


@pytest.mark.parametrize("training", [False, True])
def test_stateful_parts_go_on_counting(training):
    layer = scrambled(stateful=True)
    expected, _, moved = by_hand(layer, sequences(), training)
    for part in (slice(0, 2), slice(2, 5)):
        outputs = run(layer, sequences()[:, part], training)
    assert_close(outputs, expected[:, -1])
    for name, value in values(layer).items():
        assert_close(value, moved[name])
    layer.reset_state()
    first, _, _ = by_hand(layer, sequences()[:, :2], training)
    assert_close(run(layer, sequences()[:, :2], training), first[:, -1])


def test_initial_state_goes_on_with_its_count_or_without():
    layer = scrambled(return_state=True)
    expected, _, _ = by_hand(layer, sequences(), False)
    _, *states = run(layer, sequences()[:, :2])
    whole, *_ = run(layer, sequences()[:, 2:], initial_state=states)
    assert_close(whole, expected[:, -1])
    anew, *_, count = run(layer, sequences()[:, 2:], initial_state=states[:2])
    states[2][:] = 0
    zero, *_ = run(layer, sequences()[:, 2:], initial_state=states)
    np.testing.assert_array_equal(anew, zero)
    np.testing.assert_array_equal(count, [[3, 0]] * 4)
    assert np.abs(anew - whole).max() > 1e-2


def test_each_direction_has_statistics_of_its_own():
    wrapped = keras.layers.Bidirectional(
        scrambled(return_sequences=True), merge_mode=None
    )
    wrapped.build((4, 5, 2))
    directions = wrapped.forward_layer, wrapped.backward_layer
    x = sequences()
    expected = [
        by_hand(layer, x[:, ::step], True)
        for layer, step in zip(directions, (1, -1), strict=True)
    ]
    forward, backward = run(wrapped, x, training=True)
    assert_close(forward, expected[0][0])
    assert_close(backward, expected[1][0][:, ::-1])
    for layer, (_, _, moved) in zip(directions, expected, strict=True):
        for name, value in values(layer).items():
            assert_close(value, moved[name])


def test_frozen_layer_uses_and_keeps_the_moving_statistics():
    layer = scrambled()
    layer.trainable = False
    before = values(layer)
    expected, _, _ = by_hand(layer, sequences(), False)
    assert_close(run(layer, sequences(), training=True), expected[:, -1])
    for name, value in values(layer).items():
        np.testing.assert_array_equal(value, before[name])


def test_dropout_drops_the_same_inputs_at_every_step():
    layer = scrambled(dropout=0.5, return_sequences=True)
    # Asked for early, the mask waits for the call.
    mask = layer.cell.get_dropout_mask(ops.ones((4, 2)))
    mask = ops.convert_to_numpy(mask)
    assert set(mask.ravel().tolist()) == {0, 2}
    expected, _, _ = by_hand(layer, sequences() * mask[:, None], True)
    assert_close(run(layer, sequences(), training=True), expected)
    expected, _, _ = by_hand(layer, sequences(), False)
    assert_close(run(layer, sequences()), expected)


def test_recurrent_dropout_has_a_mask_for_each_gate():
    layer = scrambled(units=1, recurrent_dropout=0.5, return_sequences=True)
    masks = layer.cell.get_recurrent_dropout_mask(ops.ones((4, 1)))
    masks = np.hstack([ops.convert_to_numpy(mask) for mask in masks])
    assert masks.shape == (4, 4)
    assert set(masks.ravel().tolist()) == {0, 2}
    # With one unit, masking before the kernel is masking after it.
    expected, _, _ = by_hand(layer, sequences(), True, recurrent_mask=masks)
    assert_close(run(layer, sequences(), training=True), expected)


def test_statistics_survive_a_large_mean():
    layer = scrambled(max_length=1)
    x = 1000 + sequences(time=1)
    expected, _, moved = by_hand(layer, x.astype("float64"), True)
    outputs = run(layer, x, training=True)
    np.testing.assert_allclose(outputs, expected[:, -1], atol=2e-3)
    name = "input_moving_variance"
    np.testing.assert_allclose(values(layer)[name], moved[name], rtol=5e-3)


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="Keras multiplies in float32 there"
)
@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_gradient_equals_differences_in_float64(unroll, mask):
    keras.config.set_dtype_policy("float64")
    layer = scrambled(unroll=unroll)
    assert {w.dtype for w in layer.weights} == {"float64"}
    inputs = keras.Input((5, 2), dtype="float64")
    masks = keras.Input((5,), dtype="bool")
    model = keras.Model([inputs, masks], layer(inputs, mask=masks))
    x = sequences().astype("float64")
    mask = np.ones((4, 5), bool) if mask is None else mask

    def loss(_, outputs):
        return ops.sum(ops.sin(3 * outputs)) / 4

    model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True)
    trained = layer.trainable_variables
    before = [np.array(ops.convert_to_numpy(w)) for w in trained]

    def assign(weights):
        for variable, weight in zip(trained, weights, strict=True):
            variable.assign(ops.convert_to_tensor(weight, "float64"))

    def value(weights):
        assign(weights)
        outputs = run(layer, ops.convert_to_tensor(x), True, mask)
        return np.sin(3 * outputs).sum() / 4

    model.train_on_batch([x, mask], np.zeros((4, 3)))
    gradients = [
        b - ops.convert_to_numpy(a)
        for a, b in zip(trained, before, strict=True)
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("units", 0),
        ("units", 2.5),
        ("max_length", 0),
        ("max_length", 2**16 + 1),
        ("max_length", None),
        ("momentum", -0.1),
        ("momentum", float("nan")),
        ("epsilon", 0),
        ("epsilon", "small"),
        ("initial_gamma", 0),
        ("initial_gamma", float("inf")),
    ],
)
def test_bad_argument_says_what_was_received(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must.*{name}={value}"):
        BatchNormLSTM(**{"units": 3, "max_length": 5, name: value})
