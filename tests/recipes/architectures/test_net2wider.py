import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.architectures.net2wider import (
    EPOCHS,
    STEPS,
    TEACHER_EPOCHS,
    THRESHOLD,
    evaluate,
    randomly_wider,
    recipe,
    train,
    wider,
)
from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.harness.contract.splits import Data
from keras_regimen.recipes.harness.engine.error_metric import error_logged
from keras_regimen.recipes.harness.engine.training import prepared


@pytest.fixture(scope="module")
def built(splits):
    def build(arm):
        hp = HyperParameters({**recipe.arms[arm].on(), "learning_rate": 0.003})
        return hp, prepared(recipe, hp, Data(splits), seed=0)

    return build


def outputs(model, splits):
    return model.predict(splits.test[0], batch_size=1024, verbose=0)


@pytest.fixture(scope="module")
def trained(splits, built):
    """The student, and for each phase its model's outputs and history."""
    hp, model = built("student")
    phases = []

    def fit(model, phase, epochs):
        before = outputs(model, splits)
        history = fit_in_memory(
            model,
            *splits.train,
            epochs=epochs // 3,
            batch_size=recipe.at("cpu").batch_size,
            steps_per_epoch=STEPS,
            validation_data=splits.validation,
            shuffle=np.random.default_rng(0),
            verbose=0,
        )
        phases.append((phase, epochs, before, outputs(model, splits), history))
        return history

    with error_logged("classes"):
        return train(hp, model, Data(splits), fit), phases


def test_the_student_takes_over_the_function_of_the_teacher(trained):
    _, (teacher, student) = trained
    assert (teacher[0], student[0]) == ("teacher", "student")
    assert (teacher[1], student[1]) == (TEACHER_EPOCHS, EPOCHS - TEACHER_EPOCHS)
    # But for the noise.
    assert np.abs(student[2] - teacher[3]).mean() < 0.1
    assert np.mean(student[2].argmax(-1) == teacher[3].argmax(-1)) > 0.9
    assert np.abs(teacher[3] - teacher[2]).max() > 0.1  # It has learned.


def test_the_student_s_updates_are_those_of_its_own_curve(trained, splits):
    model, (_, student) = trained
    errors = student[4].history["val_error"]
    first = [i for i, error in enumerate(errors) if error <= THRESHOLD][:1]
    budget = EPOCHS - TEACHER_EPOCHS
    expected = STEPS * (first[0] + 1 if first else budget)
    figures = evaluate(None, model, splits)
    assert figures["student_updates"] == expected
    assert 0 <= figures["changed"] < 1e-5


def test_arms_have_four_times_the_teacher_s_units(built, trained):
    _, scratch = built("scratch")
    assert scratch.count_params() == trained[0].count_params()
    _, teacher = built("teacher")
    shapes = [weight.shape for weight in teacher.get_weights()]
    assert shapes == [(2, 32), (32,), (32, 32), (32,), (32, 2), (2,)]
    shapes = [weight.shape for weight in trained[0].get_weights()]
    assert shapes == [(2, 128), (128,), (128, 128), (128,), (128, 2), (2,)]


def test_random_units_stand_beside_the_teacher_s_weights(built, splits):
    _, teacher = built("random_units")
    np.random.seed(0)
    random, copies = randomly_wider(teacher), wider(teacher, noise=0.0)
    expected = outputs(teacher, splits)
    np.testing.assert_allclose(outputs(copies, splits), expected, atol=1e-5)
    assert np.abs(outputs(random, splits) - expected).max() > 0.05
    for old, new in zip(
        teacher.get_weights(), random.get_weights(), strict=True
    ):
        corner = new[tuple(slice(size) for size in old.shape)]
        np.testing.assert_array_equal(corner, old)
    kernel = random.get_weights()[2]
    # Glorot and Bengio's uniform distribution for 128 x 128.
    assert np.std(kernel[32:]) == pytest.approx(np.sqrt(2 / 256), rel=0.05)
