"""Pruning: how many weights can go, and what are the places of the rest worth?

Han et al., 2015 (https://arxiv.org/abs/1506.02626) prune the smallest weights
of a trained net and train the rest on: LeNet-300-100 keeps its error with a
twelfth of its weights, the better if it is pruned in steps. Frankle and
Carbin, 2018 (https://arxiv.org/abs/1803.03635) set the rest back to their
initial values, and find "winning tickets" that train as well as the whole
net, which other initial values or other places do not. Here: the same net on
1,000 images of digits, with the second paper's Adam at 0.0012 and batches of
60. Every arm but `dense_once` takes five times 400 updates, and prunes
between them, so that all cost the same; tickets take the last 400 from their
initial values, with a twentieth of the weights left. Labels are clean.
"""

import keras
import numpy as np

from keras_regimen.custom_models import (
    masks_of,
    prune,
    pruning_report,
    set_masks,
    shuffled_masks,
)
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    digits,
    final,
    value,
)

PHASES = 5


def build(hp, data):
    inputs = x = keras.Input(data.input_shape)
    for units in (300, 100):
        x = keras.layers.Dense(units, activation="relu")(x)
    outputs = keras.layers.Dense(data.num_classes, activation="softmax")(x)
    model = keras.Model(inputs, outputs)
    return compiled(hp, model)


def compiled(hp, model):
    learning_rate = hp.Float(
        "learning_rate", 1e-4, 1e-2, sampling="log", default=1.2e-3
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
    )
    return model


def train(hp, model, data, fit):
    phases = hp.Int("phases", 1, PHASES, default=PHASES)
    # After which phases to prune, and what to train on with.
    pruned_after = hp.Choice("pruned_after", ["none", "first", "each", "last"])
    left = hp.Float("left", 0.01, 1.0, default=1.0)
    goes_on = hp.Choice(
        "goes_on", ["trained", "rewound", "reinitialized", "random_mask"]
    )
    model = compiled(hp, prune(model, 0.0))
    model.optimizer.build(model.trainable_variables)
    initial = model.get_weights()
    state = [np.array(variable) for variable in model.optimizer.variables]

    for phase in range(1, phases + 1):
        fit(model, phase=f"{phase}")
        due = {
            "none": 0,
            "first": phase == 1,
            "each": phase < phases and phase / (phases - 1),
            "last": phase == phases,
        }[pruned_after]
        if due:
            # As many of the rest each time, until `left` are left.
            masks = masks_of(prune(model, 1 - left**due))
            if goes_on != "trained":
                model.set_weights(initial)
                for variable, start in zip(
                    model.optimizer.variables, state, strict=True
                ):
                    variable.assign(start)
            if due == 1 and goes_on == "reinitialized":
                reinitialize(model)
            if due == 1 and goes_on == "random_mask":
                masks = shuffled_masks(masks, seed=np.random.randint(2**31))
            set_masks(model, masks)
    return model


def reinitialize(model):
    for layer in model.layers[1:]:
        layer.kernel.assign(layer.kernel_initializer(layer.kernel.shape))


def evaluate(hp, model, data):
    report = pruning_report(model)
    return {
        "weights_left": 1 - report.kernels.sparsity,
        "bytes_left": report.whole.gzip_bytes / report.whole.dense_bytes,
    }


HAN = "Han et al., 2015, "
FRANKLE = "Frankle and Carbin, 2018, "


def claim(statement, source, treatment, baseline, smallest_effect):
    return Claim(
        statement,
        source=source,
        treatment=treatment,
        baseline=baseline,
        metric=final("test_error"),
        better="lower",
        smallest_effect=smallest_effect,
    )


def arm(pruned_after, left, goes_on="trained"):
    settings = {"pruned_after": pruned_after, "goes_on": goes_on, "left": left}
    return Arm(settings)


recipe = Recipe(
    claims=[
        claim(
            "Trained on, a net with a twelfth of its weights has a lower test "
            "error than one that is pruned at the end.",
            HAN + "figure 5",
            "one_shot",
            "not_retrained",
            0.02,
        ),
        claim(
            "Pruned in steps, it has a lower test error than pruned at once.",
            HAN + "section 3.4",
            "iterative",
            "one_shot",
            0.003,
        ),
        claim(
            "The whole net has a lower test error than one with a twelfth of "
            "its weights, pruned in steps (a control: the paper finds no "
            "loss).",
            HAN + "table 1",
            "dense",
            "iterative",
            0.005,
        ),
        claim(
            "A twentieth of the weights, set back to their initial values, "
            "trains to a lower test error than the same ones with other "
            "initial values.",
            FRANKLE + "section 2",
            "ticket",
            "reinitialized",
            0.005,
        ),
        claim(
            "It trains to a lower test error than as many weights of each "
            "layer in random places.",
            FRANKLE + "section 2",
            "ticket",
            "random_mask",
            0.005,
        ),
        claim(
            "The whole net trains to a lower test error in as many updates (a "
            "control: the paper finds no loss).",
            FRANKLE + "section 2",
            "dense_once",
            "ticket",
            0.005,
        ),
        claim(
            "The ticket trains to a lower test error than the weights of the "
            "same sparsity that go on as they are, pruned in steps (a control: "
            "the paper does not compare).",
            FRANKLE + "section 2",
            "ticket",
            "iterative_20",
            0.005,
        ),
        Exact(
            "What is pruned stays pruned under Adam: a twelfth of the weights "
            "is left at the end.",
            source=HAN + "table 1",
            metric=value("weights_left"),
            arm="iterative",
            at_most=1 / 12 + 1e-4,
        ),
        Exact(
            "Compressed, the net takes at most a sixth of its bytes: a "
            "twelfth, and as much for the places.",
            source=HAN + "section 5",
            metric=value("bytes_left"),
            arm="iterative",
            at_most=1 / 6,
        ),
    ],
    arms={
        "dense": arm("none", 1.0),
        "dense_once": Arm({"phases": 1}),
        "not_retrained": arm("last", 1 / 12),
        "one_shot": arm("first", 1 / 12),
        "iterative": arm("each", 1 / 12),
        "iterative_20": arm("each", 1 / 20),
        "ticket": arm("each", 1 / 20, "rewound"),
        "reinitialized": arm("each", 1 / 20, "reinitialized"),
        "random_mask": arm("each", 1 / 20, "random_mask"),
    },
    data=digits(),
    takes="vector",
    target="classes",
    build=build,
    train=train,
    evaluate=evaluate,
    epochs=4,
    steps_per_epoch=100,
    batch_size=60,
    scales={"smoke": {"epochs": 1, "steps_per_epoch": 40, "seeds": 2}},
)

if __name__ == "__main__":
    recipe.main()
