"""Virtual adversarial training: smooth predictions, labels or not."""

from typing import Any

import keras
import numpy as np
from keras import ops, tree

from ..custom_layers.seed_generator import SeedGenerator
from ..custom_optimizers.autodiff import InnerScope
from ._batches import num_samples, split_off_validation
from ._perturbation import (
    as_float,
    check_count,
    check_size,
    random_direction,
    unit,
)
from .training_method import TrainingMethod
from .training_step import gradient_by_inputs

_DIRECTIONS = ("adversarial", "random")
_OUTPUTS = ("softmax", "sigmoid", "softmax_logits", "sigmoid_logits")


@keras.saving.register_keras_serializable(package="keras_regimen")
class VirtualAdversarialModel(TrainingMethod):
    """Trains a model to predict alike all around its inputs.

    Use it where labels are few and inputs many: the penalty needs no label.
    To the loss on the labelled batch each step adds `weight` times the mean
    divergence KL[p(y|x) || p(y|x + r)] on the unlabelled batch, where r has
    the length `epsilon` and points where the divergence grows the most: a few
    power iterations find it. The size of `epsilon` is what matters; `weight`
    and one iteration can stay.

    `fit((x, x_unlabeled), y)` takes sets of different size: the smaller one is
    repeated until it is as large as the other, so that an epoch is a pass over
    the larger. The unlabelled set should hold the labelled inputs, too, as in
    the paper. `fit(x, y)` alone smooths around the labelled inputs. A dataset
    may yield batches `({"labeled": x, "unlabeled": x_unlabeled}, y)` with
    parts of different size. `evaluate` and `predict` take `x` alone.
    `fit_in_memory` is `fit` here, with a warning.

    All passes over the unlabelled batch run in training mode with the same
    dropout masks, and what they would assign is forgotten: batch
    normalization's moving statistics are those of labelled batches. The logged
    loss includes the penalty.

    A step takes a forward pass over the unlabelled batch, a gradient by the
    inputs for each power iteration, and the gradients of the loss and of the
    penalty by the weights.

    Args:
        model: A `keras.Model` with one input, of rank 2 or more, and one
            output, of probabilities or logits.
        epsilon: Float of at least 0. The length of the perturbation of a
            sample, in the unit of the inputs. With 0 it trains as the wrapped
            model by itself.
        xi: Positive float. The length of the probe in a power iteration: small
            against `epsilon`, large against rounding. The paper's 1e-6
            drowns in that of float32.
        power_iterations: Integer of at least 1.
        weight: Float of at least 0, the weight of the penalty.
        direction: `"adversarial"`, or `"random"`: the control, which draws
            the direction and takes no gradient by the inputs.
        output: `"softmax"`, `"sigmoid"` (probabilities, of which those of
            `"sigmoid"` stand for themselves), `"softmax_logits"` or
            `"sigmoid_logits"`. Default `None`: read from the loss that the
            model is compiled with, if it is a cross-entropy.
        seed: Optional integer. Fixes what is drawn.
        **kwargs: Base model arguments, such as `name`.

    Call arguments:
        inputs: What the wrapped model takes, or a dictionary with it as
            `"labeled"` and with `"unlabeled"`, which is ignored.
        training: Boolean, handed on.

    Raises:
        ValueError: If an argument is out of the range said above, or, in
            training, if `output` is `None` and the loss does not say it.

    Example:

    >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    >>> model = VirtualAdversarialModel(net, epsilon=0.5)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("sgd", loss)
    >>> x, x_unlabeled = np.eye(2), np.random.default_rng(0).random((6, 2))
    >>> y = np.array([0, 2])
    >>> history = model.fit((x, x_unlabeled), y, batch_size=3, verbose=0)
    >>> model.predict(x, verbose=0).shape
    (2, 3)

    Reference:

    - Miyato, Maeda, Koyama and Ishii, "Virtual Adversarial Training: A
      Regularization Method for Supervised and Semi-Supervised Learning",
      [2017](https://arxiv.org/abs/1704.03976), algorithm 1; its section 3.3
      for the power iteration. `direction="random"` is the paper's random
      perturbation training. The term of entropy, its section 4.2, is left out.
    """

    def __init__(
        self,
        model: keras.Model,
        epsilon: float,
        xi: float = 0.1,
        power_iterations: int = 1,
        weight: float = 1.0,
        direction: str = "adversarial",
        output: str | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        check_size("epsilon", epsilon)
        check_size("weight", weight)
        check_count("power_iterations", power_iterations)
        if not 0 < xi < np.inf:
            raise ValueError(
                f"`xi` must be a positive number. Received: xi={xi}"
            )
        if direction not in _DIRECTIONS:
            raise ValueError(
                "`direction` must be 'adversarial' or 'random'. "
                f"Received: direction={direction!r}"
            )
        if output is not None and output not in _OUTPUTS:
            raise ValueError(
                f"`output` must be one of {', '.join(map(repr, _OUTPUTS))}, "
                f"or `None`. Received: output={output!r}"
            )
        super().__init__(model, **kwargs)
        self.epsilon = epsilon
        self.xi = xi
        self.power_iterations = power_iterations
        self.weight = weight
        self.direction = direction
        self.output_kind = output
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def build(self, input_shape):
        super().build(_parts(input_shape)[0])

    def call(self, inputs, training=None):
        return super().call(_parts(inputs)[0], training=training)

    def fit(
        self,
        x=None,
        y=None,
        *args,
        sample_weight=None,
        validation_split=0.0,
        validation_data=None,
        **kwargs,
    ):
        """Trains the model, as `keras.Model.fit` does.

        Args:
            x: Pair `(x, x_unlabeled)` of arrays, as a tuple, or what Keras'
                own takes.
            y: Targets of the labelled inputs.
            *args: Further arguments of `keras.Model.fit`.
            sample_weight: Weights of the labelled samples.
            validation_split: Float in `[0, 1)`, the fraction of the labelled
                samples, taken from the end, to validate on.
            validation_data: As for Keras, without unlabelled inputs.
            **kwargs: Further arguments of `keras.Model.fit`.

        Returns:
            A `History`.
        """
        if isinstance(x, tuple) and len(x) == 2:
            (x, unlabeled), labels = x, (y, sample_weight)
            if validation_split and validation_data is None:
                (x, *labels), validation_data = split_off_validation(
                    (x, *labels), validation_split
                )
                validation_split = 0.0
            count = max(num_samples(x), num_samples(unlabeled))
            x, y, sample_weight = _repeated((x, *labels), count)
            unlabeled = _repeated(unlabeled, count)
            x = {"labeled": x, "unlabeled": unlabeled}
        return super().fit(
            x,
            y,
            *args,
            sample_weight=sample_weight,
            validation_split=validation_split,
            validation_data=validation_data,
            **kwargs,
        )

    def compute_gradients(self, x: Any, y: Any, sample_weight: Any):
        """Returns what a labelled and an unlabelled batch teach.

        Args:
            x: Labelled inputs, or a dictionary of them as `"labeled"` and of
                others as `"unlabeled"`.
            y: Targets of the labelled ones.
            sample_weight: Their weights, or `None`.

        Returns:
            Tuple of the loss with the penalty, the predictions on labelled
            inputs, and a list of gradients.
        """
        x, unlabeled = _parts(x)
        if self.epsilon == 0 or self.weight == 0:
            return super().compute_gradients(x, y, sample_weight)
        divergence = _Divergence(self.output_kind or _output_of(self.loss))
        unlabeled = as_float(unlabeled)
        target = ops.stop_gradient(self._predicted(unlabeled))
        perturbed = self._perturbed(unlabeled, target, divergence)

        def penalized():
            # Before the labelled pass, which advances the random seeds.
            penalty = divergence(target, self._predicted(perturbed))
            loss, y_pred = self.compute_batch_loss(x, y, sample_weight)
            return loss + self.weight * penalty, y_pred

        return self.differentiate(penalized)

    def _predicted(self, x):
        """Predicts in training mode, and forgets what that assigns."""
        with InnerScope(collect_losses=True):
            return self(x, training=True)

    def _perturbed(self, x, target, divergence):
        """Returns inputs moved by `epsilon` where predictions change most."""
        direction = random_direction(x, "l2", self.seed_generator)

        def scaled_divergence(x):
            found = divergence(target, self(x, training=True))
            # In half precision the gradient would vanish as the weights'.
            return self.optimizer.scale_loss(found)

        if self.direction == "adversarial":
            for _ in range(self.power_iterations):
                # The divergence is flat at `x`: its gradient close by is the
                # product of its Hessian with the probe.
                slope = gradient_by_inputs(
                    scaled_divergence, x + self.xi * direction
                )
                # What overflows under loss scaling is skipped anyway.
                finite = ops.isfinite(slope)
                direction = unit(ops.where(finite, slope, direction))
        return ops.stop_gradient(x + self.epsilon * direction)

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "xi": self.xi,
            "power_iterations": self.power_iterations,
            "weight": self.weight,
            "direction": self.direction,
            "output": self.output_kind,
            "seed": self.seed,
        }


class _Divergence(keras.losses.Loss):
    """The mean KL divergence of predictions from those that are held fixed.

    A loss, so that it is scaled as losses are under `tf.distribute`.
    """

    def __init__(self, output: str):
        super().__init__(name="divergence", dtype="float32")
        self.output = output

    def call(self, y_true, y_pred):
        fixed, moved = map(self._log_probabilities, (y_true, y_pred))
        divergence = ops.sum(ops.exp(fixed) * (fixed - moved), axis=-1)
        if self.output.startswith("sigmoid"):
            divergence = ops.sum(divergence, axis=-1)
        return divergence

    def _log_probabilities(self, outputs):
        """Log probabilities on the last axis, for a sigmoid of no and yes."""
        if self.output == "softmax_logits":
            return ops.log_softmax(outputs)
        if self.output == "sigmoid_logits":
            both = [ops.log_sigmoid(-outputs), ops.log_sigmoid(outputs)]
            return ops.stack(both, axis=-1)
        if self.output == "sigmoid":
            outputs = ops.stack([1 - outputs, outputs], axis=-1)
        return ops.log(ops.maximum(outputs, keras.config.epsilon()))


def _output_of(loss: Any) -> str:
    """Returns what outputs are, by the loss that the model is compiled with."""
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", None)
    name = (name or type(loss).__name__).replace("_", "").lower()
    logits = "_logits" if getattr(loss, "from_logits", False) else ""
    for part, output in (("binary", "sigmoid"), ("categorical", "softmax")):
        if part in name and "crossentropy" in name:
            return f"{output}{logits}"
    raise ValueError(
        "`output` must be given where the loss is no cross-entropy of Keras "
        f"that would say it. Received: output=None and loss={loss!r}"
    )


def _parts(x: Any) -> tuple[Any, Any]:
    """Returns the labelled and the unlabelled part of a batch."""
    if isinstance(x, dict) and set(x) == {"labeled", "unlabeled"}:
        return x["labeled"], x["unlabeled"]
    return x, x


def _repeated(arrays: Any, count: int) -> Any:
    """Returns arrays of `count` samples: all of them, again and again."""
    samples = num_samples(arrays)
    whole, rest = divmod(count, samples)
    if whole == 1 and not rest:
        return arrays
    # The rest from all over the array, whose first rows may be of one class.
    spread = np.arange(rest) * samples // max(rest, 1)
    rows = np.concatenate([np.tile(np.arange(samples), whole), spread])
    return tree.map_structure(
        lambda a: None if a is None else ops.convert_to_numpy(a)[rows], arrays
    )
