from pathlib import Path

import keras
import numpy as np
import pytest

from keras_regimen.custom_models import SharpnessAwareModel, TrainingMethod
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.harness.engine.plan import make_plan
from keras_regimen.recipes.harness.engine.training import run_cell
from keras_regimen.recipes.optimization import sharpness_aware as script
from keras_regimen.recipes.optimization.sharpness_aware import recipe


@pytest.fixture(scope="module")
def splits():
    data = recipe.at("smoke").data["noisy"]
    return data(0).to("vector", "classes")


def build(arm, splits):
    hp = HyperParameters(recipe.arms[arm].on("noisy"))
    return recipe.build(hp, Data(splits))


def numbers(tensors):
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


@pytest.mark.parametrize("arm", ["sam", "asam"])
def test_a_step_learns_from_weights_at_the_radius(arm, splits, monkeypatch):
    """The neighbourhood is left by rho, in the arm's own measure of length."""
    model = build(arm, splits)
    assert model.adaptive == (arm == "asam")
    visited = []
    differentiate = TrainingMethod.differentiate

    def spy(self, function, at=None, state=()):
        if at is not None:
            visited.extend(numbers(at))
        return differentiate(self, function, at, state)

    monkeypatch.setattr(TrainingMethod, "differentiate", spy)
    x, y = (a[:50] for a in splits.train)
    here = numbers(model.trainable_weights)
    model.compute_gradients(x, y, None)
    moves = [b - a for a, b in zip(here, visited, strict=True)]
    if arm == "asam":
        moves = [
            move / (np.abs(weight) + 0.01) if weight.ndim > 1 else move
            for move, weight in zip(moves, here, strict=True)
        ]
    length = np.sqrt(sum(np.sum(move**2) for move in moves))
    assert length == pytest.approx(model.rho, rel=1e-3)


@pytest.mark.parametrize(
    ("arm", "updates", "gradients"),
    [
        ("plain", 480, 480),
        ("plain_longer", 960, 960),
        ("sam", 480, 960),
        ("asam", 480, 960),
    ],
)
def test_equal_cost_is_an_equal_number_of_gradients(arm, updates, gradients):
    hp = HyperParameters(recipe.arms[arm].on("noisy"))
    cpu = recipe.at("cpu")
    epochs = cpu.epochs(hp)
    assert cpu.steps_per_epoch * epochs == updates
    (counter,) = cpu.callbacks(hp)
    logs = {}
    counter.on_epoch_end(0, logs)
    assert logs["evaluations"] * epochs == gradients


def test_the_row_of_a_cell_counts_two_gradients_an_update():
    plan = make_plan(Path(script.__file__), code="", scale="smoke")
    row = run_cell(
        next(c for c in plan.cells if c.arm == "sam" and c.data == "clean")
    )
    assert row["status"] == "done", row
    assert row["evaluations"] == 2 * row["updates"] == 2 * 3 * script.STEPS
    assert row["plain_fit"] is None


def test_without_a_radius_the_net_is_the_plain_one(splits):
    plain = build("plain", splits)
    assert not isinstance(plain, SharpnessAwareModel)
    inner = build("sam", splits).model
    configs = [
        [layer.get_config() for layer in net.layers] for net in (plain, inner)
    ]
    for config in (c for net in configs for c in net):
        del config["name"]
    assert configs[0] == configs[1]
