import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory, masks_of
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.harness.engine.training import prepared
from keras_regimen.recipes.regularization.pruning import (
    evaluate,
    recipe,
    train,
)


@pytest.fixture(scope="module")
def splits():
    return recipe.at("cpu").data[""](0).to("vector", "classes")


@pytest.fixture(scope="module")
def trained(splits):
    """Each arm's model, and the weights with which its phases begin."""
    arms = {}

    def of(name):
        if name not in arms:
            hp = HyperParameters(recipe.arms[name].on())
            model = prepared(recipe, hp, Data(splits), seed=0)
            starts = []

            def fit(model, phase):
                starts.append(model.get_weights())
                order = np.random.default_rng(int(phase))
                fit_in_memory(
                    model,
                    *splits.train,
                    batch_size=60,
                    steps_per_epoch=10,
                    shuffle=order,
                    verbose=0,
                )

            starts.append(model.get_weights())
            arms[name] = train(hp, model, Data(splits), fit), starts
        return arms[name]

    return of


def test_kernels_are_pruned_in_four_equal_steps(trained):
    _, starts = trained("ticket")
    left = [
        np.mean(np.concatenate([k.ravel() for k in weights[::2]]) != 0)
        for weights in starts[1:]
    ]
    np.testing.assert_allclose(left, 0.05 ** (np.arange(5) / 4), atol=1e-4)


def test_a_ticket_starts_from_the_initial_weights_and_controls_do_not(trained):
    kernels = {
        name: trained(name)[1][-1][::2]
        for name in ("ticket", "reinitialized", "random_mask")
    }
    initial = trained("ticket")[1][0][::2]
    for i, start in enumerate(initial):
        ticket, other, places = (kernels[name][i] for name in kernels)
        kept = ticket != 0
        assert 0 < kept.mean() < 1
        np.testing.assert_array_equal(ticket, np.where(kept, start, 0))
        # The same places with other weights of the same size...
        np.testing.assert_array_equal(other != 0, kept)
        assert np.all(other[kept] != start[kept])
        # ...and as many of the initial weights in other places.
        assert np.sum(places != 0) == kept.sum()
        assert np.mean(places[kept] != 0) < 0.9
        np.testing.assert_array_equal(
            places, np.where(places != 0, start, np.zeros_like(start))
        )
    biases = trained("ticket")[1][-1][1::2]
    assert all(np.all(bias == 0) for bias in biases)


def test_masks_hold_to_the_end_and_the_figures_say_so(trained):
    model, starts = trained("ticket")
    for mask, start, end in zip(
        masks_of(model), starts[-1][::2], model.get_weights()[::2], strict=True
    ):
        assert np.all(end[~mask] == 0)
        assert np.any(end[mask] != start[mask])
    figures = evaluate(None, model, None)
    assert figures["weights_left"] == pytest.approx(0.05, abs=1e-4)
    assert 0.05 < figures["bytes_left"] < 0.15


def test_arms_of_a_claim_take_as_many_updates_or_are_named_once():
    phases = {
        name: arm.on().get("phases", 5) for name, arm in recipe.arms.items()
    }
    assert phases.pop("dense_once") == 1
    assert set(phases.values()) == {5}
    cpu = recipe.at("cpu")
    assert cpu.epochs * cpu.steps_per_epoch == 400
