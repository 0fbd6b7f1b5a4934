import pytest

from keras_regimen.callbacks import EarlyStopping, PrecheltStopping
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.training import run_cell
from keras_regimen.recipes.regularization import early_stopping as script

recipe = script.recipe


@pytest.mark.parametrize("arm", recipe.arms)
def test_an_arm_has_the_callback_that_it_is_about(arm):
    hp = HyperParameters(recipe.arms[arm].on("noisy"))
    callbacks = script.callbacks(hp)
    criterion = recipe.arms[arm].fixed["criterion"]
    if criterion == "none":
        assert callbacks == []
    elif criterion == "patience":
        assert isinstance(callbacks[0], EarlyStopping)
    else:
        assert isinstance(callbacks[0], PrecheltStopping)
        assert callbacks[0].criterion == criterion


@pytest.mark.slow
def test_a_stopped_run_hands_over_its_best_validation_epoch():
    row = run_cell(
        Cell(
            "early_stopping",
            script.__file__,
            "GL_1",
            0,
            "cpu",
            "noisy",
            recipe.arms["GL_1"].on("noisy"),
        )
    )
    assert row["epochs"] < 60
    val_loss = row["curves"]["val_loss"]
    assert row["final"]["val_loss"] == pytest.approx(min(val_loss), rel=1e-5)
