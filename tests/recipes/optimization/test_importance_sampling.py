import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.recipes.harness import digits
from keras_regimen.recipes.optimization import importance_sampling as script


@pytest.fixture(scope="module")
def splits():
    return digits()(0).to("vector", "classes")


def test_lengths_of_gradients_are_those_of_the_backend(splits):
    """Of three samples, and of their mean, each by a step of its own."""
    model = script.sampled("uniform", 0).model
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    x, y = (a[:3] for a in splits.train)
    start = model.get_weights()
    wide = [w.astype("float64") for w in start]
    squares, of_mean = script.squared_lengths(wide, x.astype("float64"), y)
    found = []
    for rows in ([0], [1], [2], [0, 1, 2]):
        model.set_weights(start)
        model.train_on_batch(x[rows], y[rows])
        moves = zip(start, model.get_weights(), strict=True)
        found.append(sum(np.sum((a - b) ** 2) for a, b in moves))
    np.testing.assert_allclose([*squares, of_mean], found, rtol=1e-3)


def test_no_sampler_has_less_variance_than_the_optimal_one():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(6, 3)) * np.arange(1, 7)[:, None]
    squares = (gradients**2).sum(axis=1)
    mean = gradients.mean(axis=0)

    def variance(chances):
        # Of all six draws, by their definition.
        drawn = gradients / (6 * chances[:, None])
        return chances @ ((drawn - mean) ** 2).sum(axis=1)

    optimal = np.sqrt(squares) / np.sqrt(squares).sum()
    others = rng.dirichlet(np.ones(6), size=20)
    for chances in [optimal, *others]:
        found = script.variance(chances, squares, mean @ mean)
        assert found == pytest.approx(variance(chances))
        assert found >= variance(optimal) * (1 - 1e-12)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(script, "EPOCHS", 2)
    monkeypatch.setattr(script.trained, "__defaults__", (script.STEPS, 2))
    monkeypatch.setattr(script, "RATES", (0.1, 0.4, 0.1))


@pytest.mark.parametrize(
    ("method", "passes"),
    [("uniform", 3 * 8), ("upper_bound", 24 + 3 * 8)],
)
def test_an_arm_samples_always_or_never_and_pays_for_it(
    short, splits, method, passes
):
    found = script.training(method, splits, 0)
    # Two epochs are too few to learn it.
    assert found["steps"] == 2 * script.STEPS
    assert found["passes"] == 2 * script.STEPS * passes
    assert found["sampling"] == (method != "uniform")


def test_every_rate_starts_anew(short, splits, monkeypatch):
    curves, trained = [], script.trained

    def spy(*args):
        history = trained(*args)
        curves.append(history["val_loss"])
        return history

    monkeypatch.setattr(script, "trained", spy)
    script.training("loss", splits, 0)
    first, other, again = curves
    assert first == again != other


def test_the_papers_condition_can_come_on():
    """Off, tau is known of b rows alone: it must be able to get there."""
    threshold = (script.CANDIDATES + 3 * script.DRAWS) / (3 * script.DRAWS)
    assert threshold < np.sqrt(script.DRAWS)
    model = script.sampled("switched", 0)
    assert model.tau_threshold is None
    assert float(ops.convert_to_numpy(model.tau)) == 0
