"""Adversarial training: learn from inputs that raise the loss, too."""

from typing import Any

import keras

from ..custom_layers.seed_generator import SeedGenerator
from ..custom_optimizers.autodiff import InnerScope
from ._perturbation import (
    Clip,
    as_float,
    ascend,
    check_perturbation,
    random_direction,
    random_in_ball,
    within,
)
from .training_method import TrainingMethod
from .training_step import gradient_by_inputs

_ATTACKS = ("fgsm", "pgd", "random")


@keras.saving.register_keras_serializable(package="keras_regimen")
class AdversarialModel(TrainingMethod):
    """Trains a model on its inputs and on adversarial ones made from them.

    Use it to make a classifier err less on inputs that were changed on
    purpose, and as a regularizer where data are few. Each step attacks the
    model as it is, and takes the gradient of

        clean_weight * loss(x) + (1 - clean_weight) * loss(x_adversarial).

    The attack, the adversarial and the clean pass run in training mode with
    the same dropout masks, and what the first two would assign is forgotten:
    batch normalization's moving statistics are those of clean inputs. The
    attack counts as constant. The logged loss is the mixture, the metrics are
    those of clean inputs; with `clean_weight=0` there is no clean pass, and
    both are those of adversarial ones.

    A step takes the gradient by the inputs once for `"fgsm"`, `steps` times
    for `"pgd"` and never for `"random"`, and the gradients of both losses by
    the weights.

    Args:
        model: A `keras.Model` with one input of rank 2 or more.
        epsilon: Float of at least 0. The size of the perturbation, in the unit
            of the inputs. With 0 it trains as the wrapped model by itself.
        attack: `"fgsm"` (one step of size `epsilon`), `"pgd"` (several,
            projected onto the ball) or `"random"`, the control: as large, and
            blind to the model.
        norm: `"linf"` (each feature changes by `epsilon` at most) or `"l2"`
            (the Euclidean length of a sample's change does).
        step_size: Float of at least 0. Default `None`: `epsilon` for
            `"fgsm"`, `2.5 * epsilon / steps` for `"pgd"`.
        steps: Integer of at least 1. Steps of `"pgd"`.
        random_start: Boolean. Whether the attack starts from a point drawn
            uniformly from the ball, or from the input.
        clip: Optional pair `(low, high)`, the range of the inputs.
        clean_weight: Float in `[0, 1]`, the weight of the clean loss.
        seed: Optional integer. Fixes what is drawn.
        **kwargs: Base model arguments, such as `name`.

    Call arguments:
        inputs: What the wrapped model takes.
        training: Boolean, handed on.

    Raises:
        ValueError: If an argument is out of the range said above.

    Example:

    >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model = AdversarialModel(net, epsilon=0.1, clip=(0, 1))
    >>> model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    >>> history = model.fit(np.eye(2), np.array([0.0, 1.0]), verbose=0)
    >>> net.predict(np.eye(2), verbose=0).shape  # What one deploys.
    (2, 1)

    Reference:

    - Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial
      Examples", [2014](https://arxiv.org/abs/1412.6572), section 6, whose
      alpha is `clean_weight`; Madry, Makelov, Schmidt, Tsipras and Vladu,
      "Towards Deep Learning Models Resistant to Adversarial Attacks",
      [2017](https://arxiv.org/abs/1706.06083), who train on `"pgd"` with
      `random_start=True` and `clean_weight=0`. Neither says what becomes of
      dropout and batch normalization; here it is as said above.
    """

    def __init__(
        self,
        model: keras.Model,
        epsilon: float,
        attack: str = "fgsm",
        norm: str = "linf",
        step_size: float | None = None,
        steps: int = 10,
        random_start: bool = False,
        clip: Clip = None,
        clean_weight: float = 0.5,
        seed: int | None = None,
        **kwargs,
    ):
        clip = check_perturbation(epsilon, norm, clip, step_size, steps)
        if attack not in _ATTACKS:
            raise ValueError(
                f"`attack` must be one of {', '.join(map(repr, _ATTACKS))}. "
                f"Received: attack={attack!r}"
            )
        if not 0 <= clean_weight <= 1:
            raise ValueError(
                "`clean_weight` must be a number in [0, 1]. "
                f"Received: clean_weight={clean_weight}"
            )
        super().__init__(model, **kwargs)
        self.epsilon = epsilon
        self.attack = attack
        self.norm = norm
        self.step_size = step_size
        self.steps = steps
        self.random_start = random_start
        self.clip = clip
        self.clean_weight = clean_weight
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)

    def compute_gradients(self, x: Any, y: Any, sample_weight: Any):
        """Returns what a batch and its adversarial twin teach.

        Args:
            x: Inputs of the batch.
            y: Targets of the batch.
            sample_weight: Weights of its samples, or `None`.

        Returns:
            Tuple of the mixture of losses, the predictions on clean inputs,
            and a list of gradients.
        """
        if self.epsilon == 0 or self.clean_weight == 1:
            return super().compute_gradients(x, y, sample_weight)
        adversarial = self._attacked(as_float(x), y, sample_weight)
        if self.clean_weight == 0:
            return super().compute_gradients(adversarial, y, sample_weight)

        def mixture():
            # Before the clean pass, which advances the random seeds.
            with InnerScope(collect_losses=True):
                changed, _ = self.compute_batch_loss(
                    adversarial, y, sample_weight
                )
            clean, y_pred = self.compute_batch_loss(x, y, sample_weight)
            share = self.clean_weight
            return share * clean + (1 - share) * changed, y_pred

        return self.differentiate(mixture)

    def _attacked(self, x, y, sample_weight):
        if self.attack == "random":
            direction = random_direction(x, self.norm, self.seed_generator)
            return within(x + self.epsilon * direction, self.clip)
        steps = self.steps if self.attack == "pgd" else 1
        step_size = self.step_size
        if step_size is None:
            step_size = self.epsilon * (2.5 / steps if steps > 1 else 1)
        start = None
        if self.random_start:
            start = random_in_ball(
                x, self.epsilon, self.norm, self.seed_generator
            )

        def scaled_loss(x):
            loss, _ = self.compute_batch_loss(x, y, sample_weight)
            # In half precision the gradient would vanish as the weights'.
            return self.optimizer.scale_loss(loss)

        return ascend(
            lambda at: gradient_by_inputs(scaled_loss, at),
            x,
            start,
            epsilon=self.epsilon,
            norm=self.norm,
            clip=self.clip,
            step_size=step_size,
            steps=steps,
        )

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "attack": self.attack,
            "norm": self.norm,
            "step_size": self.step_size,
            "steps": self.steps,
            "random_start": self.random_start,
            "clip": self.clip,
            "clean_weight": self.clean_weight,
            "seed": self.seed,
        }
