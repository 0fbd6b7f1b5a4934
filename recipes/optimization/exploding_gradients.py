"""Exploding gradients: does clipping save a recurrent net from blowing up?

Pascanu, Mikolov and Bengio, 2013 (https://arxiv.org/abs/1211.5063) show that
gradients through time can explode only where the recurrent matrix' largest
eigenvalue is above 1 (for tanh), and that rescaling a long gradient prevents
it from undoing the training. Here: a tanh net of 32 units on the adding
problem over 50 steps, its recurrent matrix drawn at random with a spectral
radius of 1.2, or of 0.9; 100 updates of gradient descent, from the same start
at each of three rates, with and without clipping to length 1. A run has blown
up once its loss is ten times what the constant answer 1 has, or no number, and
`GradientMonitor` looks for the layer that explodes after every tenth update.
"""

import keras
import numpy as np

from keras_regimen.callbacks import GradientMonitor
from keras_regimen.custom_models import fit_in_memory
from keras_regimen.recipes.harness import (
    Arm,
    Claim,
    Exact,
    Recipe,
    adding_problem,
    value,
)

RATES = (0.03, 0.1, 0.3)
UNITS, STEPS, EPOCHS, UPDATES = 32, 50, 10, 10
BLOWN_UP = 10 / 6  # The constant answer 1 has an error of 1 / 6.
PROBE = 64


class EachRate(keras.callbacks.Callback):
    """Begins anew with the next rate, after so many epochs with each."""

    def on_train_begin(self, logs=None):
        self.start = self.model.get_weights()

    def on_epoch_begin(self, epoch, logs=None):
        if epoch % EPOCHS == 0:
            self.model.set_weights(self.start)
            self.model.optimizer.learning_rate = RATES[epoch // EPOCHS]


def recurrent_net(radius, clipnorm, seed):
    """Returns a compiled net whose recurrent matrix has a spectral radius."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(UNITS, UNITS))
    matrix *= radius / np.abs(np.linalg.eigvals(matrix)).max()
    net = keras.Sequential(
        [
            keras.Input((STEPS, 2)),
            keras.layers.SimpleRNN(UNITS, name="recurrent"),
            keras.layers.Dense(1, name="readout"),
        ]
    )
    net.set_weights(
        [
            rng.normal(size=(2, UNITS)) / np.sqrt(2),
            matrix,
            np.zeros(UNITS),
            rng.normal(size=(UNITS, 1)) / np.sqrt(UNITS),
            np.zeros(1),
        ]
    )
    optimizer = keras.optimizers.SGD(RATES[0], global_clipnorm=clipnorm or None)
    net.compile(optimizer, "mse")
    return net


def measure(hp, seed):
    radius = hp.Float("spectral_radius", 0.5, 2.0)
    clipnorm = hp.Float("clipnorm", 0.0, 10.0)  # 0: none.
    splits = adding_problem(length=STEPS, train_size=1000)(seed)
    x, y = splits.train
    monitor = GradientMonitor(x[:PROBE], y[:PROBE], every=1)
    history = fit_in_memory(
        recurrent_net(radius, clipnorm, seed),
        x,
        y,
        batch_size=32,
        epochs=EPOCHS * len(RATES),
        steps_per_epoch=UPDATES,
        shuffle=np.random.default_rng(seed),
        validation_data=splits.validation,
        callbacks=[EachRate(), monitor],
        verbose=0,
    )
    loss, val_loss, norm = (
        np.reshape(history.history[name], (len(RATES), EPOCHS))
        for name in ("loss", "val_loss", "gradient_norm/recurrent")
    )
    blown = ~(np.maximum(loss, val_loss) < BLOWN_UP)
    named = np.isin(np.arange(loss.size), list(monitor.problems))
    named = named.reshape(loss.shape) & blown
    steady = norm[~blown & np.isfinite(norm)]
    return {
        "blow_ups": blown.any(axis=1).mean(),
        "unnamed": (blown.any(axis=1) & ~named.any(axis=1)).sum(),
        "log10_longest_gradient": np.log10(max(steady, default=1e-6)),
        # A blown-up run counts as one that knows nothing.
        "lowest_loss": np.where(
            blown.any(axis=1), 1 / 6, val_loss[:, -1]
        ).min(),
    }


PAPER = "Pascanu, Mikolov and Bengio, 2013"


def claim(statement, section, treatment, baseline, metric, smallest_effect):
    return Claim(
        statement,
        source=f"{PAPER}, section {section}",
        treatment=treatment,
        baseline=baseline,
        metric=value(metric),
        better="lower",
        smallest_effect=smallest_effect,
    )


recipe = Recipe(
    claims=[
        claim(
            "Clipping the gradient's length prevents blow-ups.",
            "3.2",
            "clipped",
            "plain",
            "blow_ups",
            0.3,
        ),
        Exact(
            "With it no run blows up, at any rate.",
            f"{PAPER}, section 3.2",
            value("blow_ups"),
            "clipped",
            at_most=0,
        ),
        Exact(
            "The monitor names a layer in each run that blows up.",
            f"{PAPER}, section 2.2",
            value("unnamed"),
            "plain",
            at_most=0,
        ),
        claim(
            "Below a spectral radius of 1 fewer runs blow up.",
            "2.1",
            "contracting",
            "plain",
            "blow_ups",
            0.3,
        ),
        claim(
            "There, gradients are a tenth as long at most.",
            "2.1",
            "contracting",
            "plain",
            "log10_longest_gradient",
            1.0,
        ),
        claim(
            "At its best rate, too, the clipped net learns more.",
            "4.1",
            "clipped",
            "plain",
            "lowest_loss",
            0.005,
        ),
    ],
    arms={
        "plain": Arm({"spectral_radius": 1.2, "clipnorm": 0.0}),
        "clipped": Arm({"spectral_radius": 1.2, "clipnorm": 1.0}),
        "contracting": Arm({"spectral_radius": 0.9, "clipnorm": 0.0}),
    },
    measure=measure,
)

if __name__ == "__main__":
    recipe.main()
