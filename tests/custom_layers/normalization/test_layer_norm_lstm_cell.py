import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_layers import LayerNormLSTMCell

MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 1, 0, 1, 1]]) > 0


def sequences(rows=3, time=5, features=2):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, time, features)).astype("float32")


def scrambled(units=4, **options):
    """Returns a built cell whose weights no initializer gives."""
    cell = LayerNormLSTMCell(units, **options)
    cell.build((None, 2))
    rng = np.random.default_rng(1)
    cell.set_weights([rng.normal(size=w.shape) for w in cell.weights])
    return cell


def run(layer, x, **options):
    return keras.tree.map_structure(
        ops.convert_to_numpy, layer(ops.convert_to_tensor(x), **options)
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def by_hand(cell, x, mask=None):
    """Equations 20 to 22 of the paper's supplement, in NumPy."""
    weight = {}
    for variable in cell.weights:
        *_, owner, name = variable.path.split("/")
        name = f"{owner}/{name}" if owner.endswith("_norm") else name
        weight[name] = ops.convert_to_numpy(variable)

    def normalize(x, name):
        deviation = np.sqrt(x.var(axis=1, keepdims=True) + cell.epsilon)
        standard = (x - x.mean(axis=1, keepdims=True)) / deviation
        return weight[f"{name}_norm/gamma"] * standard

    h = c = np.zeros((len(x), cell.units))
    outputs = []
    for t in range(x.shape[1]):
        z = normalize(x[:, t] @ weight["kernel"], "kernel")
        z = z + normalize(h @ weight["recurrent_kernel"], "recurrent")
        z = z + weight.get("bias", 0)
        i, f, g, o = np.split(z, 4, axis=1)
        memory = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        shifted = normalize(memory, "state") + weight["state_norm/beta"]
        new = sigmoid(o) * np.tanh(shifted), memory
        active = True if mask is None else mask[:, t, None]
        h, c = (
            np.where(active, n, old) for n, old in zip(new, (h, c), strict=True)
        )
        outputs.append(h)
    return np.stack(outputs, axis=1), h, c


@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
@pytest.mark.parametrize("options", [{}, {"use_bias": False, "epsilon": 0.5}])
@pytest.mark.parametrize("unroll", [False, True])
def test_sequence_equals_numpy(mask, options, unroll):
    cell = scrambled(**options)
    layer = keras.layers.RNN(cell, True, True, unroll=unroll)
    tensor = None if mask is None else ops.convert_to_tensor(mask)
    for training in (False, True):
        outputs, *states = run(
            layer, sequences(), mask=tensor, training=training
        )
        expected, *last = by_hand(cell, sequences(), mask)
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(states, last, rtol=1e-4, atol=1e-5)


def test_both_directions_equal_numpy():
    layer = keras.layers.Bidirectional(
        keras.layers.RNN(LayerNormLSTMCell(4), return_sequences=True),
        merge_mode=None,
    )
    forward, backward = run(layer, sequences())
    cells = layer.forward_layer.cell, layer.backward_layer.cell
    expected, _, _ = by_hand(cells[0], sequences())
    np.testing.assert_allclose(forward, expected, rtol=1e-4, atol=1e-5)
    expected, _, _ = by_hand(cells[1], sequences()[:, ::-1])
    np.testing.assert_allclose(
        backward, expected[:, ::-1], rtol=1e-4, atol=1e-5
    )


def test_stateful_halves_make_the_whole():
    cell = scrambled()
    layer = keras.layers.RNN(cell, stateful=True)
    for half in (sequences()[:, :2], sequences()[:, 2:]):
        outputs = run(layer, half)
    expected, _, _ = by_hand(cell, sequences())
    np.testing.assert_allclose(outputs, expected[:, -1], rtol=1e-4, atol=1e-5)


def test_output_of_a_sample_does_not_depend_on_its_batch():
    layer = keras.layers.RNN(scrambled())
    alone = run(layer, sequences()[:1], training=True)
    together = run(layer, sequences(), training=True)[:1]
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)


def test_scale_of_both_kernels_changes_nothing():
    cell = scrambled(epsilon=1e-12)
    expected = run(keras.layers.RNN(cell), sequences()[:, :1])
    cell.kernel.assign(cell.kernel * 100.0)
    scaled = run(keras.layers.RNN(cell), sequences()[:, :1])
    np.testing.assert_allclose(scaled, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
def test_dropout_is_one_mask_for_all_steps_of_a_call(name):
    cell = scrambled(**{name: 0.5})
    layer = keras.layers.RNN(cell, return_sequences=True)
    x = np.repeat(sequences(1), 64, axis=0)
    plain = run(layer, x, training=False)
    expected, _, _ = by_hand(cell, x)
    np.testing.assert_allclose(plain, expected, rtol=1e-4, atol=1e-5)
    first, second = (run(layer, x, training=True) for _ in range(2))
    assert np.abs(first - second).max() > 1e-2
    # The hidden state is 0 before the first step: nothing to drop.
    changed = np.abs(first - plain).max(axis=(0, 2)) > 1e-3
    assert changed[0] == (name == "dropout")
    assert changed[1:].all()


def test_trains_compiled_saves_and_loads(tmp_path):
    layer = keras.layers.RNN(LayerNormLSTMCell(4, epsilon=0.01, dropout=0.2))
    inputs = keras.Input((None, 2))
    hidden = keras.layers.Masking()(inputs)
    model = keras.Model(inputs, layer(hidden))
    model.compile(keras.optimizers.SGD(0.5), "mse")
    history = model.fit(
        sequences(), np.full((3, 4), 0.5), epochs=20, verbose=0
    ).history
    assert history["loss"][-1] < 0.5 * history["loss"][0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert loaded.layers[-1].cell.get_config() == layer.cell.get_config()
    fresh = keras.models.clone_model(model)
    model.save_weights(tmp_path / "all.weights.h5")
    fresh.load_weights(tmp_path / "all.weights.h5")
    for other in (loaded, fresh):
        np.testing.assert_array_equal(
            other.predict(sequences(), verbose=0),
            model.predict(sequences(), verbose=0),
        )


@pytest.mark.slow
@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="torch.compile takes 20 s"
)
def test_xla_fit_equals_graph_fit():
    def fit(jit_compile):
        layer = keras.layers.RNN(scrambled())
        model = keras.Sequential([keras.Input((5, 2)), layer])
        model.compile("sgd", "mse", jit_compile=jit_compile)
        model.fit(sequences(), np.ones((3, 4)), epochs=3, verbose=0)
        return model.get_weights()

    for xla, graph in zip(fit(True), fit(False), strict=True):
        np.testing.assert_allclose(xla, graph, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("policy", "step"), [("mixed_bfloat16", 2**-8), ("mixed_float16", 2**-11)]
)
def test_mixed_precision_normalizes_in_float32(policy, step):
    cell = LayerNormLSTMCell(8, dtype=policy)
    cell.build((None, 2))
    assert {w.dtype for w in cell.weights} == {"float32"}
    # Squares of these overflow float16.
    x = 3000 * sequences()[:, :1]
    outputs = run(keras.layers.RNN(cell, dtype=policy), x)
    expected, _, _ = by_hand(cell, x)
    np.testing.assert_allclose(
        outputs[..., :].astype("float32"), expected[:, -1], atol=8 * step
    )


@pytest.mark.parametrize("epsilon", [0, -1, float("nan"), None, "small"])
def test_bad_epsilon_says_what_was_received(epsilon):
    with pytest.raises(ValueError, match=f"`epsilon` must.*epsilon={epsilon}"):
        LayerNormLSTMCell(4, epsilon=epsilon)


@pytest.mark.parametrize("units", [0, -1, 2.5, None])
def test_bad_units_say_what_was_received(units):
    with pytest.raises(ValueError, match=f"`units` must.*units={units}"):
        LayerNormLSTMCell(units)
