import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import (
    GhostBatchNormalization,
    MeanOnlyBatchNormalization,
    UnbiasedBatchNormalization,
)
from keras_regimen.custom_models import reestimate_batch_normalization
from keras_regimen.custom_models.reestimate_batch_normalization import (
    reestimate_in_place,
)

RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, size=(50, 4)).astype("float32")


def numbers(model):
    return [np.array(ops.convert_to_numpy(w)) for w in model.weights]


def statistics(layer):
    return [
        ops.convert_to_numpy(w)
        for w in (layer.moving_mean, layer.moving_variance)
    ]


def chain(norm=layers.BatchNormalization):
    return keras.Sequential(
        [
            keras.Input((4,)),
            norm(name="first"),
            layers.Dense(8, "relu", name="dense"),
            layers.Dropout(0.5),
            norm(name="second"),
            layers.Dense(3, "tanh", name="tanh"),
            norm(name="third", trainable=False),
        ]
    )


def what_reaches(model, name):
    """Returns what a layer of a chain gets at inference, in float64."""
    x = X
    for layer in model.layers:
        if layer.name == name:
            return ops.convert_to_numpy(x).astype("float64")
        x = layer(x, training=False)
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("norm", "less"),
    [
        (layers.BatchNormalization, 0),
        (UnbiasedBatchNormalization, 1),
        (lambda **kwargs: GhostBatchNormalization(5, **kwargs), 1),
    ],
)
def test_each_layer_has_the_moments_of_what_it_gets_at_inference(norm, less):
    model = chain(norm)
    before = numbers(model)
    new = reestimate_batch_normalization(model, X, batch_size=16)
    for name in ("first", "second", "third"):
        inputs = what_reaches(new, name)
        mean, variance = statistics(new.get_layer(name))
        np.testing.assert_allclose(mean, inputs.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(variance, inputs.var(0, ddof=less), 2e-5)
    for one, two in zip(before, numbers(model), strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(
        model.trainable_weights, new.trainable_weights, strict=True
    ):
        assert one is not two
        np.testing.assert_array_equal(*map(ops.convert_to_numpy, (one, two)))


def test_batch_size_changes_nothing():
    model = chain()
    one, two = (
        reestimate_batch_normalization(model, X, batch_size=size)
        for size in (7, 1000)
    )
    for a, b in zip(numbers(one), numbers(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_single_pass_normalizes_with_the_batches():
    model = chain()
    new = reestimate_batch_normalization(model, X, 25, sequential=False)
    for moving, moments in zip(
        statistics(new.get_layer("first")), (X.mean(0), X.var(0)), strict=True
    ):
        np.testing.assert_allclose(moving, moments, rtol=1e-5)
    # By hand: both halves are normalized each by its own moments.
    halves = [
        (half - half.mean(0)) / np.sqrt(half.var(0) + 1e-3)
        for half in (X[:25], X[25:])
    ]
    hidden = ops.convert_to_numpy(
        model.get_layer("dense")(np.concatenate(halves))
    )
    mean, variance = statistics(new.get_layer("second"))
    np.testing.assert_allclose(mean, hidden.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance, hidden.var(0), rtol=1e-4)
    # For one batch both ways are the same.
    one, two = (
        reestimate_batch_normalization(model, X, 50, sequential=sequential)
        for sequential in (False, True)
    )
    for a, b in zip(numbers(one), numbers(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_masked_steps_do_not_count():
    inputs = keras.Input((3, 2))
    masked = layers.Masking()(inputs)
    model = keras.Model(inputs, layers.BatchNormalization()(masked))
    x = RNG.normal(size=(5, 3, 2)).astype("float32")
    x[:3, 1:] = 0
    new = reestimate_batch_normalization(model, x, batch_size=2)
    counted = x[np.any(x, axis=-1)]
    assert counted.shape == (9, 2)
    mean, variance = statistics(new.layers[-1])
    np.testing.assert_allclose(mean, counted.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, counted.var(0), rtol=1e-5)


def test_nested_models_other_axes_several_inputs_and_large_means():
    images = keras.Input((2, 5, 4), name="images")
    offset = keras.Input((2, 1, 1), name="offset")
    norm = layers.BatchNormalization(axis=1)
    tower = keras.Sequential([keras.Input((2, 5, 4)), norm])
    mean_only = MeanOnlyBatchNormalization(axis=1)
    inputs = {"images": images, "offset": offset}
    model = keras.Model(inputs, mean_only(tower(images + offset)))
    x = {
        "images": RNG.normal(size=(6, 2, 5, 4)).astype("float32"),
        "offset": np.full((6, 2, 1, 1), 1000, "float32"),
    }
    reestimate_in_place(model, x, batch_size=4)
    expected = (x["images"] + np.float32(1000)).astype("float64")
    mean, variance = statistics(norm)
    np.testing.assert_allclose(mean, expected.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(variance, expected.var((0, 2, 3)), rtol=1e-5)
    shift = ops.convert_to_numpy(mean_only.moving_mean)
    outputs = ops.convert_to_numpy(model(x, training=False))
    assert np.abs(shift).max() < 1e-3  # Of outputs that are normalized.
    assert np.abs(outputs.mean((0, 2, 3))).max() < 1e-5


class Batches(keras.utils.PyDataset):
    num_batches = 2

    def __getitem__(self, index):
        return X[25 * index : 25 * index + 25], np.zeros(25)


def test_batches_with_targets_count_like_arrays():
    model = chain()
    one, two = (
        numbers(reestimate_batch_normalization(model, x, batch_size=25))
        for x in (X, Batches())
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.any(one[-1] != numbers(model)[-1])


def test_new_model_saves_loads_and_is_compiled_apart(tmp_path):
    model = chain()
    model.compile("sgd", "mse")
    new = reestimate_batch_normalization(model, X)
    assert not new.compiled
    new.save(tmp_path / "new.keras")
    loaded = keras.saving.load_model(tmp_path / "new.keras", safe_mode=True)
    for one, two in zip(numbers(new), numbers(loaded), strict=True):
        np.testing.assert_array_equal(one, two)


def test_bad_arguments_say_what_came():
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ValueError, match="must have batch norm.*Sequential"):
        reestimate_batch_normalization(plain, X)
    with pytest.raises(ValueError, match="batch_size=0"):
        reestimate_batch_normalization(chain(), X, batch_size=0)
    with pytest.raises(ValueError, match="at least one sample"):
        reestimate_batch_normalization(chain(), X[:0])

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional or sequential.*Own"):
        reestimate_batch_normalization(Own(), X)
