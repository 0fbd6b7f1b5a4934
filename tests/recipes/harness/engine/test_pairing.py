import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.engine.pairing import paired


def weights(build, seed=0):
    """Returns the arrays of a model's weights by path."""
    with paired(seed) as pair_streams:
        model = build()
        pair_streams(model)
    paths = [w.path.removeprefix("sequential/") for w in model.weights]
    arrays = [np.array(w) for w in model.weights]
    return dict(zip(paths, arrays, strict=True)), model


def mlp(*extra, **dense):
    layers = [keras.Input((4,)), keras.layers.Dense(8, **dense), *extra]
    return keras.Sequential([*layers, keras.layers.Dense(3, **dense)])


def test_an_extra_dropout_shifts_nothing():
    plain, _ = weights(mlp)
    extra, _ = weights(lambda: mlp(keras.layers.Dropout(0.5)))
    assert plain.keys() == extra.keys()
    for path, array in plain.items():
        np.testing.assert_array_equal(array, extra[path])
    assert np.any(plain["dense/kernel"] != 0)


def test_a_dropout_that_both_arms_have_draws_the_same_masks():
    _, one = weights(lambda: mlp(keras.layers.Dropout(0.5, name="own")))
    noise = keras.layers.GaussianNoise
    _, two = weights(
        lambda: mlp(noise(0.1), keras.layers.Dropout(0.5, name="own"))
    )
    named = [
        next(layer for layer in m.layers if layer.name == "own")
        for m in (one, two)
    ]
    x = np.ones((16, 8), "float32")
    first, second = (np.array(d(x, training=True)) for d in named)
    np.testing.assert_array_equal(first, second)
    assert 0 < (first == 0).mean() < 1


def test_a_wrapped_kernel_starts_as_the_bare_one():
    def wrapped():
        dense = keras.layers.Dense(8)
        wrap = keras.layers.SpectralNormalization(dense)
        last = keras.layers.Dense(3)
        return keras.Sequential([keras.Input((4,)), wrap, last])

    plain, _ = weights(mlp)
    other, _ = weights(wrapped)
    np.testing.assert_array_equal(
        plain["dense/kernel"], other["spectral_normalization/dense/kernel"]
    )


def test_he_and_glorot_stay_different_by_their_scale_alone():
    he, _ = weights(lambda: mlp(kernel_initializer="he_normal"))
    glorot, _ = weights(lambda: mlp(kernel_initializer="glorot_normal"))
    ratio = he["dense/kernel"] / glorot["dense/kernel"]
    # He: sqrt(2 / fan_in); Glorot: sqrt(2 / (fan_in + fan_out)).
    np.testing.assert_allclose(ratio, np.sqrt((4 + 8) / 4), rtol=1e-5)


def test_what_build_writes_into_weights_stands():
    def written():
        model = mlp()
        model.layers[0].kernel.assign(np.full((4, 8), 2.0))
        return model

    arrays, _ = weights(written)
    np.testing.assert_array_equal(arrays["dense/kernel"], 2.0)


def test_an_initializer_with_its_own_seed_keeps_it():
    def seeded():
        return mlp(kernel_initializer=keras.initializers.HeNormal(seed=3))

    one, _ = weights(seeded, seed=0)
    two, _ = weights(seeded, seed=1)
    np.testing.assert_array_equal(one["dense/kernel"], two["dense/kernel"])


def test_seeds_and_layers_differ():
    zero, _ = weights(mlp, seed=0)
    one, _ = weights(mlp, seed=1)
    assert np.all(zero["dense/kernel"] != one["dense/kernel"])

    def square():
        layers = [keras.layers.Dense(4) for _ in range(2)]
        return keras.Sequential([keras.Input((4,)), *layers])

    same_shape, _ = weights(square)
    assert np.all(same_shape["dense/kernel"] != same_shape["dense_1/kernel"])


@pytest.mark.parametrize("cell", [keras.layers.LSTM, keras.layers.GRU])
def test_recurrent_kernels_are_paired(cell):
    def recurrent(*extra):
        layers = [keras.Input((5, 4)), *extra, cell(6)]
        return keras.Sequential(layers)

    plain, _ = weights(recurrent)
    extra, _ = weights(lambda: recurrent(keras.layers.Dropout(0.1)))
    assert len(plain) == 3
    for path, array in plain.items():
        np.testing.assert_array_equal(array, extra[path])


def test_keras_is_left_as_it_was_even_after_an_error():
    add_weight = keras.layers.Layer.add_weight
    init = keras.layers.Wrapper.__init__
    with pytest.raises(ZeroDivisionError), paired(0):
        raise ZeroDivisionError
    assert keras.layers.Layer.add_weight is add_weight
    assert keras.layers.Wrapper.__init__ is init
