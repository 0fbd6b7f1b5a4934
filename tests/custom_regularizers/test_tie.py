import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_regularizers import SoftWeightSharing, tie
from keras_regimen.custom_regularizers.tie import KernelTie

FIRST = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
SECOND = np.array([[0.0, 2.5], [3.0, -1.0]], "float32")


def numbers(losses):
    return [float(ops.convert_to_numpy(loss)) for loss in losses]


def towers(strength=0.5, order="ab", built=False, **options):
    """Returns a model of two tied layers; `order` says which comes first."""
    pair = {
        "a": layers.Dense(2, use_bias=False, name="a", **options),
        "b": layers.Dense(2, use_bias=False, name="b"),
    }
    if not built:
        tie(pair["a"], pair["b"], strength)
    x = inputs = keras.Input((2,))
    for name in order:
        x = pair[name](x)
    model = keras.Model(inputs, x)
    if built:
        tie(pair["a"], pair["b"], strength)
    model.get_layer("a").kernel.assign(FIRST)
    model.get_layer("b").kernel.assign(SECOND)
    return model


def kernels(model):
    return [ops.convert_to_numpy(model.get_layer(name).kernel) for name in "ab"]


@pytest.mark.parametrize("built", [False, True])
def test_both_kernels_are_drawn_to_each_other(built):
    model = towers(built=built)
    assert numbers(model.losses) == [0.5 * (1 + 0.25 + 0 + 25)]
    model.compile(keras.optimizers.SGD(0.1), "mse")
    # Inputs and targets of 0: only the tie has a gradient.
    model.fit(np.zeros((2, 2)), np.zeros((2, 2)), epochs=2, verbose=0)
    # Each step takes 2 * 2 * 0.5 * 0.1 of the distance away, half from each.
    middle, distance = (FIRST + SECOND) / 2, 0.8**2 * (FIRST - SECOND) / 2
    first, second = kernels(model)
    np.testing.assert_allclose(first, middle + distance, rtol=1e-5)
    np.testing.assert_allclose(second, middle - distance, rtol=1e-5)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_tie_survives_save_and_load(order, tmp_path):
    model = towers(order=order)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    a, b = loaded.get_layer("a"), loaded.get_layer("b")
    assert a.kernel_regularizer.layer is b
    assert numbers(loaded.losses) == numbers(model.losses)
    b.kernel.assign(FIRST)
    assert numbers(loaded.losses) == [0]


def test_penalty_that_is_there_stays():
    model = towers(kernel_regularizer=keras.regularizers.L1(0.1))
    expected = 0.5 * 26.25 + 0.1 * 10
    assert numbers(model.losses) == [pytest.approx(expected)]


def test_strength_zero_trains_as_no_tie_to_the_bit():
    plain, tied = towers(), towers(strength=0)
    plain.get_layer("a").kernel.regularizer = None
    x = np.random.default_rng(0).normal(size=(4, 2))
    for model in (plain, tied):
        model.compile(keras.optimizers.SGD(0.01), "mse")
        model.fit(x, x, batch_size=4, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_array_equal(kernels(plain), kernels(tied))
    assert not np.allclose(kernels(plain)[0], FIRST, atol=1e-3)


def test_clone_says_that_the_tie_is_lost():
    clone = keras.models.clone_model(towers())
    with pytest.raises(ValueError, match="'b' that a kernel is tied to"):
        clone.losses  # noqa: B018
    tie(clone.get_layer("b"), clone.get_layer("a"), 1.0)


def test_shapes_must_agree():
    first, second = layers.Dense(2), layers.Dense(3)
    first.build((None, 2))
    second.build((None, 2))
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(2, 3\)"):
        tie(first, second)
    assert first.kernel_regularizer is None


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (lambda: (layers.ReLU(), layers.Dense(2)), "layer_a=<ReLU"),
        (lambda: (layers.Dense(2), layers.LSTM(2)), "layer_b=<LSTM"),
        (lambda: (layers.GRUCell(2), layers.Dense(2)), "layer_a=<GRUCell"),
        (lambda: [layers.Dense(2)] * 2, "two layers"),
    ],
    ids=range(4),
)
def test_other_layers_are_refused(pair, message):
    with pytest.raises(ValueError, match=message):
        tie(*pair())


def test_trained_penalty_is_not_taken_from_its_layer():
    mixed = layers.Dense(2, kernel_regularizer=SoftWeightSharing(2))
    plain = layers.Dense(2)
    with pytest.raises(ValueError, match="penalty that is trained.*<Dense"):
        tie(mixed, plain)
    tie(plain, mixed)


def test_circles_are_refused():
    first, second, third = (layers.Dense(2) for _ in range(3))
    tie(first, second)
    tie(first, third)
    tie(second, third)
    for pair in ((second, first), (third, first), (third, second)):
        with pytest.raises(ValueError, match="not tied yet"):
            tie(*pair)
    with pytest.raises(ValueError, match="strength=-1"):
        KernelTie(first, -1)
