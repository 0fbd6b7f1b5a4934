import keras
import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.regularization.norm_constraints import (
    CONSTRAINED,
    UNITS,
    bound,
    evaluate,
    recipe,
)


def test_a_kernel_of_units_at_a_radius_is_about_at_every_bound():
    """One range of radii is fair to all three."""
    kernel = np.random.default_rng(0).choice([-1.0, 1.0], (64, UNITS)) * 0.5 / 8
    for constraint in ("max_norm", "l1_ball", "frobenius"):
        for radius, moved in ((0.5001, False), (0.4999, True)):
            found = np.array(bound(constraint, radius)(kernel))
            assert np.any(found != kernel) == moved
            np.testing.assert_allclose(found, kernel, rtol=1e-3)


@pytest.mark.parametrize("arm", CONSTRAINED)
def test_the_share_below_the_bound_is_that_of_a_count_by_hand(built, arm):
    model = built(arm, radius=0.5)
    hp = HyperParameters({**recipe.arms[arm].fixed, "radius": 0.5})
    layers = [layer for layer in model.layers if layer.weights][:2]
    shares = []
    for number, layer in enumerate(layers):
        kernel = np.array(layer.kernel) * 10
        # What the projection leaves at the bound, with some units shrunk.
        kernel = np.array(layer.kernel_constraint(kernel))
        kernel[:, : 16 * number] *= 0.9
        layer.kernel.assign(kernel)
        shares.append(16 * number / UNITS if arm != "frobenius" else number)
    assert evaluate(hp, model, None)["share_below_bound"] == pytest.approx(
        np.mean(shares)
    )


def test_arms_differ_in_their_constraint_alone(built):
    plain, bound_by_unit = (
        built(arm, learning_rate=0.1, **settings)
        for arm, settings in (("plain", {}), ("max_norm", {"radius": 0.5}))
    )
    for ours, theirs in zip(
        plain.get_weights(), bound_by_unit.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert evaluate(None, plain, None) == {}


def test_the_penalty_is_on_both_hidden_kernels(built):
    model = built("l2", l2=1e-2, learning_rate=0.1)
    kernels = [layer.kernel for layer in model.layers if layer.weights][:2]
    by_hand = sum(1e-2 * np.sum(np.square(np.array(k))) for k in kernels)
    np.testing.assert_allclose(sum(model.losses), by_hand, rtol=1e-5)


@pytest.mark.slow
def test_the_constraint_holds_while_training_at_a_high_rate(built, splits):
    model = built("max_norm_fast")
    hp = HyperParameters(recipe.arms["max_norm_fast"].fixed)
    fit_in_memory(model, *splits.train, batch_size=50, epochs=5, verbose=0)
    for layer in [layer for layer in model.layers if layer.weights][:2]:
        norms = np.linalg.norm(np.array(layer.kernel), axis=0)
        assert norms.max() <= 0.5 * (1 + 1e-5)
    assert evaluate(hp, model, None)["share_below_bound"] < 0.5


def test_fast_arms_share_a_rate_that_no_search_chose_and_it_decays(built):
    fast = {n: a for n, a in recipe.arms.items() if n.endswith("fast")}
    assert len(fast) == 4
    assert {arm.on()["learning_rate"] for arm in fast.values()} == {0.3}
    assert not any(arm.tuned for arm in fast.values())
    model = built("plain_fast")
    schedule = keras.saving.serialize_keras_object(model.optimizer)["config"][
        "learning_rate"
    ]["config"]
    cpu = recipe.at("cpu")
    assert schedule["decay_steps"] == cpu.epochs * cpu.steps_per_epoch == 1000
