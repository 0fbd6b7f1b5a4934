import keras
import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness import digits
from keras_regimen.recipes.optimization import lookahead as script


def by_hand(rate, curvature, minima):
    """The weights that SGD and Lookahead end with, in NumPy."""
    sgd = fast = slow = np.zeros(minima.shape[1])
    for step, minimum in enumerate(minima, start=1):
        sgd = sgd - rate * curvature * (sgd - minimum)
        fast = fast - rate * curvature * (fast - minimum)
        if step % script.PERIOD == 0:
            slow = fast = slow + script.SHARE * (fast - slow)
    return sgd, slow


@pytest.mark.parametrize("rate", [0.2, 0.9])
def test_the_formula_is_that_of_a_simulation(rate):
    rng = np.random.default_rng(0)
    for place, curvature in enumerate(script.CURVATURES):
        minima = rng.normal(size=(60 * script.PERIOD, 4000))
        sgd, slow = by_hand(rate, curvature, minima)
        # The error of a variance from 4,000 draws: 2.2 %, times 4.
        assert np.var(sgd) == pytest.approx(
            script.variance_of_sgd(rate)[place], rel=0.09
        )
        share = np.var(slow) / np.var(sgd)
        assert share == pytest.approx(
            script.share_of_lookahead(rate)[place], rel=0.09
        )


def test_one_step_or_all_of_the_way_is_sgd(monkeypatch):
    monkeypatch.setattr(script, "SHARE", 1.0)
    np.testing.assert_allclose(script.share_of_lookahead(0.5), 1, rtol=1e-12)


def test_the_tolerance_tells_periods_and_shares_apart(monkeypatch):
    """A claim that any period or share would meet said nothing."""
    tolerance = script.recipe.claims[0].at_most
    ours = script.share_of_lookahead(0.5)
    for name, other in (("PERIOD", 4), ("PERIOD", 9), ("SHARE", 0.55)):
        with monkeypatch.context() as patch:
            patch.setattr(script, name, other)
            gap = np.abs(script.share_of_lookahead(0.5) / ours - 1).max()
        assert gap > tolerance


def test_the_variance_is_that_of_the_weights_by_hand(monkeypatch):
    monkeypatch.setattr(script, "WEIGHTS", 50)
    rng = np.random.default_rng(3)
    minima = rng.normal(size=(script.UPDATES, 150)).astype("float32")
    sgd, slow = by_hand(0.5, np.repeat(script.CURVATURES, 50), minima)
    inner = keras.optimizers.SGD(0.5)
    lookahead = script.Lookahead(inner, script.PERIOD, script.SHARE)
    for optimizer, expected in ((inner.from_config(inner.get_config()), sgd),
                                (lookahead, slow)):  # fmt: skip
        np.testing.assert_allclose(
            script.variances(optimizer, seed=3),
            np.square(expected).reshape(3, 50).mean(axis=1),
            rtol=1e-4,
        )


@pytest.fixture
def rates(monkeypatch):
    """The learning rate in each epoch of each fit."""
    seen = []

    def spy(model, *args, **options):
        class Spy(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                seen.append(float(model.optimizer.learning_rate))

        options["callbacks"].append(Spy())
        return fit_in_memory(model, *args, **options)

    monkeypatch.setattr(script, "fit_in_memory", spy)
    return seen


@pytest.mark.parametrize("method", ["lookahead", "cosine"])
def test_an_arm_trains_at_each_rate_and_cosine_alone_decays(
    rates, monkeypatch, method
):
    monkeypatch.setattr(script, "EPOCHS", 2)
    script.on_digits(method, 0)
    second = 0.5 if method == "cosine" else 1.0
    np.testing.assert_allclose(
        np.reshape(rates, (len(script.RATES), 2)),
        np.outer(script.RATES, [1.0, second]),
        rtol=1e-6,
    )


def test_every_rate_starts_from_the_same_weights_and_state(monkeypatch):
    monkeypatch.setattr(script, "EPOCHS", 1)
    monkeypatch.setattr(script, "RATES", (0.1, 0.3, 0.1))
    errors = []
    mean = np.mean
    monkeypatch.setattr(
        script.np, "ptp", lambda found: errors.extend(found) or 0.0
    )
    assert script.on_digits("lookahead", 0)["test_error"] == mean(errors)
    assert errors[0] == errors[2] != errors[1]


def test_epochs_end_where_the_slow_weights_are_the_weights():
    model = script.net("lookahead")
    x, y = digits(label_noise=0.1)(0).to("vector", "classes").train
    assert 24 % script.PERIOD == 0
    options = {"batch_size": 50, "verbose": 0, "shuffle": False}
    fit_in_memory(model, x, y, steps_per_epoch=18, **options)
    slow = [v for v in model.optimizer.variables if "slow" in v.path]
    assert len(slow) == len(model.weights)
    for weight, kept in zip(model.weights, slow, strict=True):
        np.testing.assert_array_equal(np.array(weight), np.array(kept))
