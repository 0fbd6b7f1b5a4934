import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.basics.backpropagation import backward
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.optimization import gradient_noise as script
from keras_regimen.recipes.optimization.gradient_noise import evaluate, recipe


def kernels(model):
    return [np.array(w) for w in model.weights if w.name == "kernel"]


def first_gradient(model, splits):
    """The norm of the first kernel's gradient of a squared error, by hand."""
    arrays = [np.array(weight, "float64") for weight in model.weights]
    pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
    x, y = splits.train
    return np.linalg.norm(backward(pairs, x, np.eye(10)[y], "relu")[0][0])


def test_weights_start_small_or_as_he_et_al_say(built):
    small, he = (kernels(built(a, learning_rate=0.1)) for a in ("plain", "he"))
    assert len(small) == len(he) == script.LAYERS + 1
    assert np.std(np.concatenate([k.ravel() for k in small])) == pytest.approx(
        0.1, rel=0.02
    )
    for kernel in he[1:]:
        # Of 2,500 draws or fewer: 1.4 % or a little more, times 5.
        assert np.std(kernel) == pytest.approx(np.sqrt(2 / 50), rel=0.15)


def test_the_small_start_leaves_no_gradient_in_the_first_layer(built, splits):
    """What noise is to mend: a step's noise is 10,000 times as large."""
    small, he = (
        first_gradient(built(arm, learning_rate=0.1), splits)
        for arm in ("plain", "he")
    )
    assert small < 1e-6
    assert he > 1e-3
    assert np.sqrt(64 * 50 * recipe.arms["noise"].on()["eta"]) > 1e4 * small


def test_noise_moves_weights_by_its_standard_deviation(
    built, splits, monkeypatch
):
    monkeypatch.setattr(script, "LAYERS", 2)
    model = built("noise", eta=0.3)
    before = kernels(model)
    x, y = (array[:50] for array in splits.train)
    fit_in_memory(model, x, y, batch_size=50, shuffle=False, verbose=0)
    moved = np.concatenate(
        [(k - b).ravel() for k, b in zip(kernels(model), before, strict=True)]
    )
    # The gradients, clipped to a norm of 1, are hardly anything beside.
    assert np.std(moved) == pytest.approx(0.1 * np.sqrt(0.3), rel=0.05)


@pytest.mark.parametrize("arm", recipe.arms)
def test_an_arm_has_the_noise_and_the_clipping_that_it_is_about(
    built, arm, monkeypatch
):
    monkeypatch.setattr(script, "LAYERS", 1)
    noisy = arm.startswith("noise")
    settings = {"eta": 0.03} if noisy else {"learning_rate": 0.3}
    optimizer = built(arm, **settings).optimizer
    assert optimizer.variance == (0.03 if noisy else 0)
    assert optimizer.clipnorm == (None if arm.endswith("unclipped") else 1.0)
    rate = float(optimizer.learning_rate)
    assert rate == pytest.approx(0.1 if noisy else 0.3)


@pytest.mark.parametrize(("right", "trained"), [(0.4, 0.0), (0.6, 1.0)])
def test_a_net_trained_if_more_than_half_of_the_rows_are_right(
    splits, right, trained
):
    y = splits.train[1]
    answers = np.where(np.arange(len(y)) < right * len(y), y, (y + 1) % 10)
    found = evaluate(None, lambda x: np.eye(10)[answers], Data(splits))
    assert found == {"trained": trained}
