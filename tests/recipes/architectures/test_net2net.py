import numpy as np
import pytest

from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.architectures.net2net import (
    EPOCHS,
    STEPS,
    TEACHER_EPOCHS,
    THRESHOLD,
    evaluate,
    recipe,
    six_layers,
    train,
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
            epochs=epochs,
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
    np.testing.assert_allclose(student[2], teacher[3], atol=1e-6)
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


def hidden(model):
    return [layer for layer in model.layers if "hidden" in layer.name]


def test_arms_have_six_hidden_layers_but_the_teacher(built, trained):
    kernels = [layer.kernel.shape for layer in hidden(trained[0])]
    assert kernels == [(64, 100)] + [(100, 100)] * 5
    _, scratch = built("scratch")
    assert [layer.kernel.shape for layer in hidden(scratch)] == kernels
    assert scratch.count_params() == trained[0].count_params()
    _, teacher = built("teacher")
    assert len(hidden(teacher)) == 2


def test_random_layers_keep_the_teacher_s_and_change_the_function(
    built, splits
):
    _, teacher = built("random_layers")
    identity, random = (six_layers(teacher, s) for s in ("identity", "random"))
    expected = outputs(teacher, splits)
    np.testing.assert_allclose(outputs(identity, splits), expected, atol=1e-6)
    assert np.abs(outputs(random, splits) - expected).max() > 0.05
    for layer in teacher.layers[1:]:
        for one, two in zip(
            layer.get_weights(),
            random.get_layer(layer.name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(one, two)
    deviations = [np.std(layer.kernel) for layer in hidden(random)[2:]]
    # Of the uniform distribution that Glorot and Bengio give for 100 x 100.
    np.testing.assert_allclose(deviations, 0.1, rtol=0.03)
