import keras
import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.custom_optimizers import PolyakAveraging
from keras_regimen.recipes.optimization import polyak_averaging as script


def by_hand(minima, curvatures):
    """All iterates of SGD from 0, in NumPy."""
    weight, iterates = np.zeros(minima.shape[1]), []
    for minimum in minima:
        weight = weight - script.RATE * curvatures * (weight - minimum)
        iterates.append(weight)
    return np.array(iterates)


def test_the_formula_is_the_variance_of_a_simulation():
    minima = np.random.default_rng(0).normal(size=(50, 4000))
    for place, curvature in enumerate(script.CURVATURES):
        mean = by_hand(minima, curvature).mean(axis=0)
        # The error of a variance from 4,000 draws: 2.2 %, times 4.
        assert np.var(mean) == pytest.approx(
            script.variance_of_mean(50)[place], rel=0.09
        )


def test_the_formula_tends_to_one_over_t_whatever_the_curvature():
    far = script.variance_of_mean(100_000) * 100_000
    np.testing.assert_allclose(far, 1, rtol=2e-4)
    halved = script.variance_of_mean(240) / script.variance_of_mean(120)
    # The limit of the claim leaves room for the start, and no more.
    assert 0.5 < halved.max() < 0.54 < script.recipe.claims[-2].at_most


def test_variances_are_those_of_the_weights_by_hand():
    minima = np.random.default_rng(3).normal(size=(40, 12)).astype("float32")
    iterates = by_hand(minima, np.repeat(script.CURVATURES, 4))
    sgd = keras.optimizers.SGD(script.RATE)
    for optimizer, expected in (
        (sgd.from_config(sgd.get_config()), iterates[-1]),
        (PolyakAveraging(sgd), iterates.mean(axis=0)),
    ):
        np.testing.assert_allclose(
            script.variances(optimizer, minima),
            np.square(expected).reshape(3, 4).mean(axis=1),
            rtol=1e-4,
        )


class Watch(keras.callbacks.Callback):
    """Notes rates and weights at the ends of epochs."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def on_epoch_end(self, epoch, logs=None):
        weights = [w.copy() for w in self.model.get_weights()]
        rate = float(self.model.optimizer.learning_rate)
        self.seen.append((rate, weights))


@pytest.fixture
def fits(monkeypatch):
    """What each epoch of each fit ends with, and each fit."""
    seen, ends = [], []

    def spy(model, *args, **options):
        # Before the mean is swapped in.
        options["callbacks"].insert(0, Watch(seen))
        history = fit_in_memory(model, *args, **options)
        ends.append(model.get_weights())
        return history

    monkeypatch.setattr(script, "fit_in_memory", spy)
    monkeypatch.setattr(script, "EPOCHS", 4)
    monkeypatch.setattr(script, "STEPS", 2)
    monkeypatch.setattr(script, "RATES", (0.1, 0.3, 0.1))
    return seen, ends


@pytest.fixture
def constant(fits):
    seen, ends = fits
    script.on_digits("constant", 0)
    found = list(seen), list(ends)
    seen.clear()
    ends.clear()
    return found


def assert_close(a, b):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_swa_is_the_mean_of_the_constant_arms_second_half(fits, constant):
    script.on_digits("swa", 0)
    epochs = [weights for _, weights in constant[0]]
    for place, found in enumerate(fits[1]):
        late = epochs[4 * place + 2 : 4 * place + 4]
        expected = [np.mean(w, axis=0) for w in zip(*late, strict=True)]
        assert_close(found, expected)
    # Every rate starts from the same weights.
    assert_close(fits[1][0], fits[1][2])
    rates = [rate for rate, _ in constant[0]]
    np.testing.assert_allclose(rates, np.repeat([0.1, 0.3, 0.1], 4), rtol=1e-6)


def test_polyak_trains_as_the_constant_arm_and_ends_elsewhere(fits, constant):
    script.on_digits("polyak", 0)
    for (_, one), (_, other) in zip(fits[0], constant[0], strict=True):
        assert_close(one, other)
    assert np.any(fits[1][0][0] != constant[1][0][0])


def test_cosine_alone_decays(fits):
    script.on_digits("cosine", 0)
    rates = [rate for rate, _ in fits[0][:4]]
    angles = np.pi * np.arange(4) / 4
    np.testing.assert_allclose(rates, 0.05 * (1 + np.cos(angles)), rtol=1e-6)


def test_the_rate_is_chosen_by_validation_data(monkeypatch):
    monkeypatch.setattr(script, "EPOCHS", 2)
    monkeypatch.setattr(script, "STEPS", 1)
    # Validation and test error by rate; test errors would choose the last.
    errors = iter([0.3, 0.5, 0.2, 0.4, 0.2, 0.1, 0.4, 0.0])
    monkeypatch.setattr(script, "error", lambda model, data: next(errors))
    found = script.on_digits("constant", 0)
    assert found["learning_rate"] == 0.03
    assert (found["validation_error"], found["test_error"]) == (0.2, 0.4)
    assert found["mean_test_error"] == pytest.approx(0.25)
