"""Net2Net: does a deep net learn faster from a shallow one that has learned?

Chen, Goodfellow and Shlens, 2015 (https://arxiv.org/abs/1511.05641) insert
layers that begin as the identity into a trained net, so that the deeper
"student" starts with the function of its "teacher", and find that it then
converges faster than the same net from scratch. Here: a teacher with two
hidden layers of 100 units, trained for 100 updates on 1,000 images of digits;
students with six, trained for 300 more; from scratch, the net takes all 400.
The paper counts the student's updates alone; so does the headline, and
another claim counts the teacher's, too. As controls, the four layers begin
with random weights, or the teacher goes on as it is. Each arm has a learning
rate of Adam of its own, the teacher 0.001 before it is deepened. Labels are
clean: with noisy ones a slower net would stop early.
"""

import keras

from keras_regimen.custom_models import deepen
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    digits,
    final,
    steps_to,
    value,
)

STEPS = 10  # Updates per epoch.
EPOCHS, TEACHER_EPOCHS = 40, 10
TEACHER_RATE = 0.001
THRESHOLD = 0.05


def settings(hp):
    """Returns what a net starts from, and its learning rate from there."""
    start = hp.Choice("start", ["scratch", "identity", "random", "teacher"])
    return start, hp.Float("learning_rate", 3e-4, 1e-2, sampling="log")


def build(hp, data):
    """Returns the net from scratch, or the teacher."""
    start, learning_rate = settings(hp)
    if start != "scratch":
        learning_rate = TEACHER_RATE
    inputs = x = keras.Input(data.input_shape)
    for i in range(6 if start == "scratch" else 2):
        x = keras.layers.Dense(100, activation="relu", name=f"hidden_{i}")(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
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
    if start in ("identity", "random"):
        model = six_layers(model, start)
    model = compiled(model, learning_rate)
    history = fit(model, phase="student", epochs=epochs).history
    reached = [error <= THRESHOLD for error in history["val_error"]]
    if True in reached:
        epochs = reached.index(True) + 1
    model.student_updates = STEPS * epochs
    return model


def six_layers(model, start="identity"):
    for _ in range(4):
        model = deepen(model, "hidden_1")
    for layer in model.layers:
        if start == "random" and "deeper" in layer.name:
            layer.kernel.assign(layer.kernel_initializer(layer.kernel.shape))
    return model


def evaluate(hp, model, data):
    """Returns the student's updates, and what deepening the net changes."""
    x, _ = data.test
    outputs, deeper = (
        m.predict(x, batch_size=1024, verbose=0)
        for m in (model, deepen(model, "hidden_0"))
    )
    return {
        "student_updates": model.student_updates,
        "changed": abs(deeper - outputs).max(),
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
            "A deeper student reaches a validation error of 5 % in fewer "
            "updates than the same net from scratch.",
            "scratch",
            STUDENT,
            30,
            ", section 3.3",
        ),
        claim(
            "The new layers must begin as the identity: with random ones the "
            "student takes more updates (a control).",
            "random_layers",
            STUDENT,
            30,
            ", section 3.1",
        ),
        claim(
            "It takes fewer updates with those of the teacher counted, too (a "
            "control: the paper does not count them).",
            "scratch",
            steps_to("val_error", THRESHOLD),
            30,
        ),
        claim(
            "It ends with a lower test error than the net from scratch, after "
            "as many updates in all (a control: the paper finds them equal).",
            "scratch",
            ERROR,
            0.005,
            ", section 3.3",
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
            "Another layer changes no output of the trained net.",
            source="Chen, Goodfellow and Shlens, 2015, section 2.4",
            metric=value("changed"),
            at_most=1e-5,
        ),
    ],
    arms={
        "scratch": Arm({"start": "scratch"}, tuned={"learning_rate": 0.00267}),
        "student": Arm(
            {"start": "identity"}, tuned={"learning_rate": 0.000691}
        ),
        "random_layers": Arm(
            {"start": "random"}, tuned={"learning_rate": 0.00485}
        ),
        "teacher": Arm({"start": "teacher"}, tuned={"learning_rate": 0.00267}),
    },
    data=digits(),
    takes="vector",
    target="classes",
    build=build,
    train=train,
    evaluate=evaluate,
    epochs=EPOCHS,
    steps_per_epoch=STEPS,
    batch_size=50,
)

if __name__ == "__main__":
    recipe.main()
