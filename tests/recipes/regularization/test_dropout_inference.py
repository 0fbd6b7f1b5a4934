import keras
import numpy as np
import pytest
from scipy.stats import gmean

from keras_regimen.custom_layers import (
    MonteCarloDropout,
    predict_with_uncertainty,
)
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.regularization.dropout_inference import (
    evaluate,
    every_subnet,
    predicted,
    recipe,
    subnets,
)


@pytest.fixture(scope="module")
def splits():
    return recipe.at("smoke").data[""](0).to("vector", "classes")


def built(arm, splits):
    hp = HyperParameters(recipe.arms[arm].on())
    return hp, recipe.build(hp, Data(splits))


def test_all_subnets_are_those_of_keras_with_units_removed_by_hand(splits):
    _, model = built("geometric_mean", splits)
    x = splits.test[0][:20]
    found = np.concatenate(list(every_subnet(model, x)), axis=1)
    assert found.shape == (2**10, 20, 10)
    # The first mask keeps no unit, and the last one all; 0b1000000001 keeps
    # the first and the last. Units that are kept count twice, at rate 0.5.
    hidden, _, readout = model.layers[1:]
    kernel, bias = readout.get_weights()
    for number in (0, 0b1000000001, 2**10 - 1):
        kept = np.array([int(bit) for bit in f"{number:010b}"])
        readout.set_weights([2 * kept[:, None] * kernel, bias])
        by_keras = np.array(readout(hidden(x)))
        np.testing.assert_allclose(np.exp(found[number]), by_keras, atol=1e-6)


def test_the_geometric_mean_is_that_of_scipy_and_not_the_arithmetic_one(splits):
    x = splits.test[0][:20]
    hp, model = built("geometric_mean", splits)
    each = np.exp(np.concatenate(list(every_subnet(model, x)), axis=1))
    by_scipy = gmean(each, axis=0)
    by_scipy /= by_scipy.sum(axis=-1, keepdims=True)
    geometric = predicted(hp, model, x)
    np.testing.assert_allclose(geometric, by_scipy, atol=1e-9)
    arithmetic_hp = HyperParameters(recipe.arms["arithmetic_mean"].on())
    arithmetic = predicted(arithmetic_hp, model, x)
    np.testing.assert_allclose(arithmetic, each.mean(axis=0), atol=1e-9)
    assert np.abs(arithmetic - geometric).max() > 1e-3


def test_subnets_share_weights_and_sample_as_predict_with_uncertainty_does(
    splits,
):
    _, model = built("samples_50", splits)
    net = subnets(model)
    for ours, theirs in zip(net.weights, model.weights, strict=False):
        assert ours is theirs
    x = splits.test[0][:30]
    draws = np.stack([net.predict_on_batch(x) for _ in range(400)])
    assert not np.array_equal(draws[0], draws[1])
    reference = predict_with_uncertainty(model, x, samples=400)
    error = np.sqrt((draws.var(axis=0) + reference.std**2) / 400)
    # 300 means: 5 sigma is passed by chance once in 6,000 runs.
    assert (np.abs(draws.mean(axis=0) - reference.mean) < 5 * error).all()


def test_layers_drop_units_of_different_places(splits):
    _, model = built("samples_1", splits)
    ones = np.ones((4, 256), "float32")
    first, second = (
        np.array(layer(ones)) > 0
        for layer in subnets(model).layers
        if isinstance(layer, MonteCarloDropout)
    )
    # 1,024 units: half agree by chance, and 0.1 more is 6 sigma.
    assert np.mean(first == second) < 0.6


def test_figures_are_those_that_keras_computes(splits):
    hp, model = built("weight_scaling", splits)
    model.compile(
        loss="sparse_categorical_crossentropy",
        metrics=["sparse_categorical_accuracy"],
    )
    loss, accuracy = model.evaluate(*splits.test, verbose=0)
    found = evaluate(hp, model, splits)
    assert found["loss"] == pytest.approx(loss, rel=1e-5)
    assert found["error"] == pytest.approx(1 - accuracy, abs=1e-6)
    assert found["error_above_scaling"] == found["gap_to_scaling"] == 0


@pytest.mark.slow
def test_most_units_end_at_the_radius(splits):
    _, model = built("samples_50", splits)
    settings = recipe.at("cpu")
    fit_in_memory(
        model,
        *splits.train,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        steps_per_epoch=settings.steps_per_epoch,
        shuffle=np.random.default_rng(0),
        verbose=0,
    )
    hidden = [
        layer for layer in model.layers if isinstance(layer, keras.layers.Dense)
    ][:2]
    norms = np.concatenate(
        [np.linalg.norm(np.array(layer.kernel), axis=0) for layer in hidden]
    )
    assert norms.max() <= 0.8 * (1 + 1e-5)
    assert np.mean(norms > 0.999 * 0.8) > 0.5


def test_arms_that_sample_differ_in_the_number_of_passes_alone():
    settings = [recipe.arms[f"samples_{k}"].on() for k in (1, 3, 10, 50)]
    assert [s.pop("samples") for s in settings] == [1, 3, 10, 50]
    assert all(s == {"prediction": "samples"} for s in settings)
