import keras
import numpy as np
import pytest
from keras import ops
from scipy import special, stats

from keras_regimen.custom_regularizers import KLSparsity


def divergence(target, means):
    return sum(stats.entropy([target, 1 - target], [m, 1 - m]) for m in means)


def test_means_are_over_batch_and_positions():
    x = np.random.default_rng(0).uniform(size=(6, 5, 3))
    expected = 6 * 0.5 * divergence(0.1, x.mean((0, 1)))
    found = float(KLSparsity(0.1, 0.5)(x))
    assert found == pytest.approx(expected, rel=1e-5)
    first = np.moveaxis(x, -1, 1)
    found = float(KLSparsity(0.1, 0.5, axis=1)(first))
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("repeats", [1, 4])
def test_loss_of_a_layer_does_not_depend_on_the_batch_size(repeats):
    layer = keras.layers.Dense(
        3, "sigmoid", activity_regularizer=KLSparsity(0.1, 0.5)
    )
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    outputs = ops.convert_to_numpy(layer(np.tile(x, (repeats, 1))))
    (loss,) = layer.losses
    assert float(ops.convert_to_numpy(loss)) == pytest.approx(
        0.5 * divergence(0.1, outputs.mean(0)), rel=1e-5
    )


@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_dead_and_saturated_units_stay_finite(mean, gradient):
    x = np.full((4, 2), mean)
    assert np.isfinite(float(KLSparsity(0.05)(x)))
    assert np.isfinite(gradient(KLSparsity(0.05), x)).all()


def test_fit_brings_mean_activations_to_the_target_and_saves(tmp_path):
    layer = keras.layers.Dense(
        6, "sigmoid", activity_regularizer=KLSparsity(0.2, 1.0)
    )
    model = keras.Sequential([keras.Input((4,)), layer])
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
    before = special.expit(x @ ops.convert_to_numpy(layer.kernel)).mean(0)
    assert (before > 0.3).all()
    model.compile(keras.optimizers.Adam(0.1), "mse", loss_weights=[0.0])
    tiled = np.tile(x, (60, 1))
    y = np.zeros((len(tiled), 6))
    model.fit(tiled, y, batch_size=64, shuffle=False, verbose=0)
    means = ops.convert_to_numpy(model(x)).mean(0)
    np.testing.assert_allclose(means, 0.2, atol=0.01)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for m in (model, loaded):
        m(x)
    first, second = (ops.convert_to_numpy(m.losses[0]) for m in (model, loaded))
    assert second == pytest.approx(first)


@pytest.mark.parametrize("target", [0, 1, -0.1, np.nan])
def test_bad_target_says_what_was_received(target):
    with pytest.raises(ValueError, match=f"target={target}"):
        KLSparsity(target)


@pytest.mark.parametrize("axis", [0, 0.5, True])
def test_bad_axis_says_what_was_received(axis):
    with pytest.raises(ValueError, match=f"axis={axis}"):
        KLSparsity(0.1, axis=axis)


def test_activations_without_units_are_refused():
    with pytest.raises(ValueError, match=r"shape=\(4,\)"):
        KLSparsity(0.1)(np.full(4, 0.5))
