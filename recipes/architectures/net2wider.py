"""Net2WiderNet: does a wide net learn faster from a narrow one?

Chen, Goodfellow and Shlens, 2015 (https://arxiv.org/abs/1511.05641) copy
units of a trained net and share out their outgoing weights, so that the wider
"student" starts with the function of its "teacher", and find that it then
converges faster than the same net from scratch. Here: a teacher with two
hidden layers of 32 units, trained for 800 updates with all 386 points of two
spirals; students with twice 128, trained for 1,200 more; from scratch,
the net takes all 2,000. The paper counts the student's updates alone; so does
the headline, and another claim counts the teacher's, too. As a control, the
new units begin with random weights beside the teacher's, which changes the
function. The copies get noise of a twentieth of the weights' deviation, or
they would never part. Each arm has a learning rate of Adam of its own, the
teacher 0.01 before it is widened.
"""

import keras
import numpy as np

from keras_regimen.custom_models import widen
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    final,
    steps_to,
    two_spirals,
    value,
)

STEPS = 50  # Updates per epoch.
EPOCHS, TEACHER_EPOCHS = 40, 16
NARROW, WIDE = 32, 128
TEACHER_RATE = 0.01
THRESHOLD = 0.02
HIDDEN = ("hidden_0", "hidden_1")


def settings(hp):
    """Returns what a net starts from, and its learning rate from there."""
    start = hp.Choice("start", ["scratch", "copies", "random", "teacher"])
    return start, hp.Float("learning_rate", 1e-3, 3e-2, sampling="log")


def build(hp, data):
    """Returns the net from scratch, or the teacher."""
    start, learning_rate = settings(hp)
    if start != "scratch":
        learning_rate = TEACHER_RATE
    units = WIDE if start == "scratch" else NARROW
    inputs = x = keras.Input(data.input_shape)
    for name in HIDDEN:
        x = keras.layers.Dense(units, activation="relu", name=name)(x)
    outputs = keras.layers.Dense(2, activation="softmax", name="head")(x)
    return compiled(keras.Model(inputs, outputs), learning_rate)


def compiled(model, learning_rate):
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
    )
    return model


def train(hp, model, data, fit):
    start, learning_rate = settings(hp)
    epochs = EPOCHS
    if start != "scratch":
        fit(model, phase="teacher", epochs=TEACHER_EPOCHS)
        epochs -= TEACHER_EPOCHS
    if start == "copies":
        model = wider(model, noise=0.05)
    if start == "random":
        model = randomly_wider(model)
    model = compiled(model, learning_rate)
    history = fit(model, phase="student", epochs=epochs).history
    reached = [error <= THRESHOLD for error in history["val_error"]]
    if True in reached:
        epochs = reached.index(True) + 1
    model.student_updates = STEPS * epochs
    return model


def wider(model, noise):
    for name in HIDDEN:
        seed = np.random.randint(2**31)
        units = 4 * model.get_layer(name).units
        model = widen(model, name, units, noise=noise, seed=seed)
    return model


def randomly_wider(model):
    """Returns a wider net that has the teacher's weights in a corner."""
    wide = wider(model, noise=0.0)
    for name in (*HIDDEN, "head"):
        old, new = model.get_layer(name).get_weights(), wide.get_layer(name)
        kernel, bias = (
            np.array(initializer(weight.shape))
            for initializer, weight in (
                (new.kernel_initializer, new.kernel),
                (new.bias_initializer, new.bias),
            )
        )
        kernel[: old[0].shape[0], : old[0].shape[1]] = old[0]
        bias[: old[1].size] = old[1]
        new.set_weights([kernel, bias])
    return wide


def evaluate(hp, model, data):
    """Returns the student's updates, and what widening the net changes."""
    x, _ = data.test
    outputs, wide = (
        m.predict(x, batch_size=1024, verbose=0)
        for m in (model, wider(model, noise=0.0))
    )
    return {
        "student_updates": model.student_updates,
        "changed": abs(wide - outputs).max(),
    }


STUDENT = value("student_updates", resolution=STEPS)
ERROR = final("test_error")


def claim(statement, baseline, metric, smallest_effect, source=""):
    return Claim(
        statement,
        source="Chen, Goodfellow and Shlens, 2015" + source,
        treatment="student",
        baseline=baseline,
        metric=metric,
        better="lower",
        smallest_effect=smallest_effect,
    )


recipe = Recipe(
    claims=[
        claim(
            "A wider student reaches a validation error of 2 % in fewer "
            "updates than the same net from scratch.",
            "scratch",
            STUDENT,
            50,
            ", section 3.2",
        ),
        claim(
            "The new units must be copies: with random ones the student takes "
            "more updates.",
            "random_units",
            STUDENT,
            50,
            ", section 3.2",
        ),
        claim(
            "It takes fewer updates with those of the teacher counted, too (a "
            "control: the paper does not count them).",
            "scratch",
            steps_to("val_error", THRESHOLD),
            50,
        ),
        claim(
            "It ends with a lower test error than the net from scratch, after "
            "as many updates in all (a control: the paper finds them equal).",
            "scratch",
            ERROR,
            0.005,
            ", section 3.2",
        ),
        claim(
            "It ends with a lower test error than the teacher that goes on "
            "as long.",
            "teacher",
            ERROR,
            0.005,
            ", section 3.4",
        ),
        Exact(
            "Four times as many units change no output of the trained net.",
            source="Chen, Goodfellow and Shlens, 2015, section 2.3",
            metric=value("changed"),
            at_most=1e-5,
        ),
    ],
    arms={
        "scratch": Arm({"start": "scratch"}, tuned={"learning_rate": 0.0258}),
        "student": Arm({"start": "copies"}, tuned={"learning_rate": 0.00832}),
        "random_units": Arm(
            {"start": "random"}, tuned={"learning_rate": 0.0258}
        ),
        "teacher": Arm({"start": "teacher"}, tuned={"learning_rate": 0.00832}),
    },
    data=two_spirals(density=2),
    takes="vector",
    target="classes",
    build=build,
    train=train,
    evaluate=evaluate,
    epochs=EPOCHS,
    steps_per_epoch=STEPS,
    batch_size=386,
)

if __name__ == "__main__":
    recipe.main()
