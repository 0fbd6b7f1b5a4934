import keras
import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.optimization import exploding_gradients as script
from keras_regimen.recipes.optimization.exploding_gradients import (
    EPOCHS,
    RATES,
    EachRate,
    measure,
    recipe,
    recurrent_net,
)


@pytest.mark.parametrize("radius", [0.9, 1.2])
def test_the_recurrent_matrix_has_the_spectral_radius(radius):
    _, matrix, *_ = recurrent_net(radius, 0.0, seed=3).get_weights()
    found = np.abs(np.linalg.eigvals(matrix)).max()
    assert found == pytest.approx(radius, rel=1e-5)


def test_arms_differ_in_the_clipping_or_the_radius_alone():
    plain, clipped, contracting = (
        recurrent_net(arm.fixed["spectral_radius"], arm.fixed["clipnorm"], 0)
        for arm in recipe.arms.values()
    )
    assert plain.optimizer.global_clipnorm is None
    assert clipped.optimizer.global_clipnorm == 1
    assert contracting.optimizer.global_clipnorm is None
    for one, other in zip(
        plain.get_weights(), clipped.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    for place, (one, other) in enumerate(
        zip(plain.get_weights(), contracting.get_weights(), strict=True)
    ):
        factor = 1.2 / 0.9 if place == 1 else 1
        np.testing.assert_allclose(one, factor * other, rtol=1e-5)


def test_each_rate_begins_at_the_same_start():
    class Model:
        weights = "start"
        optimizer = keras.optimizers.SGD(0.5)

        def get_weights(self):
            return self.weights

        def set_weights(self, weights):
            self.weights = weights

    model, callback, seen = Model(), EachRate(), []
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(EPOCHS * len(RATES)):
        callback.on_epoch_begin(epoch)
        rate = float(model.optimizer.learning_rate)
        seen.append((model.weights == "start", round(rate, 6)))
        model.weights = "moved"
    assert seen[::EPOCHS] == [(True, rate) for rate in RATES]
    assert seen[1::EPOCHS] == [(False, rate) for rate in RATES]


def test_a_run_that_blows_up_is_counted_and_its_layer_named(monkeypatch):
    # At this rate the readout diverges whatever the recurrent matrix does.
    monkeypatch.setattr(script, "RATES", (1e-3, 100.0))
    monkeypatch.setattr(script, "EPOCHS", 2)
    found = measure(
        HyperParameters({"spectral_radius": 1.2, "clipnorm": 0.0}), 0
    )
    assert found["blow_ups"] == 0.5
    assert found["unnamed"] == 0
    assert found["lowest_loss"] <= 1 / 6
