"""Sharpness-aware minimization: learn from the worst weights nearby."""

from typing import Any

import keras
from keras import ops

from .training_method import TrainingMethod
from .training_step import as_dense, snapshot, sum_over_replicas

# The authors' own, so that a weight of zero can move.
_SMALLEST_WEIGHT = 0.01


@keras.saving.register_keras_serializable(package="keras_regimen")
class SharpnessAwareModel(TrainingMethod):
    """Trains a model for weights whose whole neighbourhood has a low loss.

    Use it where a net overfits, above all on wrong labels, and twice the cost
    of a step is no obstacle. A step goes up first, by `rho` along the
    gradient, and the optimizer then goes down from where the weights were, by
    the gradient found up there. Both gradients see the same dropout masks.
    Batch statistics, the logged loss and the metrics are those of the first.

    Args:
        model: A `keras.Model`: functional, sequential or subclassed.
        rho: Float, 0 or more. How far up, in the Euclidean norm over all
            weights; 0 is plain training. The best depends much on the task:
            search from 0.02 to 1 (to 5 if `adaptive`). Defaults to 0.05.
        adaptive: Boolean. If true, each weight goes up in proportion to its
            square (ASAM), so that scaling a layer up and the next one down
            changes nothing. Biases, and the scales and offsets of
            normalization, take their share as without. Defaults to `False`.
        every: Positive integer. Only each so many-th update, from the first
            one on, takes the second gradient; the others are plain, and cost
            what a plain one does. Defaults to 1.
        **kwargs: Base model arguments, such as `name`.

    Call arguments:
        inputs: What the wrapped model takes.
        training: Boolean, handed on.

    Raises:
        ValueError: If `rho` is negative, infinite or not a number, or `every`
            not a positive integer.

    Example:

    >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model = SharpnessAwareModel(net, rho=0.1)
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> history = model.fit(x, x[:, :1], epochs=9, verbose=0)
    >>> history.history["loss"][-1] < 0.05
    True

    Reference:

    - Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-Aware Minimization for
      Efficiently Improving Generalization", 2020
      (https://arxiv.org/abs/2010.01412). They perturb per accelerator; under
      a `tf.distribute` strategy all replicas here share one perturbation, and
      train as one device would.
    - Kwon, Kim, Park and Choi, "ASAM: Adaptive Sharpness-Aware Minimization
      for Scale-Invariant Learning of Deep Neural Networks", 2021
      (https://arxiv.org/abs/2102.11600), elementwise, with their 0.01 added
      to each weight's size. Their code counts normalization's scales among
      the weights.
    - Liu, Mai, Chen, Hsieh and You, "Towards Efficient and Scalable
      Sharpness-Aware Minimization", 2022 (https://arxiv.org/abs/2203.02714),
      whose baseline SAM-k is `every=k`.
    """

    def __init__(
        self,
        model: keras.Model,
        rho: float = 0.05,
        adaptive: bool = False,
        every: int = 1,
        **kwargs,
    ):
        if not 0 <= rho < float("inf"):
            raise ValueError(
                "`rho` must be a distance, finite and not negative. "
                f"Received: rho={rho}"
            )
        if not (isinstance(every, int) and every >= 1):
            raise ValueError(
                "`every` must be a positive integer: 1 takes two gradients in "
                f"each update. Received: every={every}"
            )
        super().__init__(model, **kwargs)
        self.rho = rho
        self.adaptive = adaptive
        self.every = every

    def compute_gradients(self, x: Any, y: Any, sample_weight: Any):
        """Returns loss and predictions here, and the gradients from above."""
        if self.rho == 0:
            return super().compute_gradients(x, y, sample_weight)
        before = snapshot(self.non_trainable_variables)
        loss, y_pred, gradients = super().compute_gradients(x, y, sample_weight)
        used = [i for i, g in enumerate(gradients) if g is not None]
        found = [as_dense(gradients[i]) for i in used]
        # Not within `cond`, where replicas cannot wait for each other.
        summed = sum_over_replicas(found)

        def from_above():
            values = [value for _, value in snapshot(self.trainable_weights)]
            for i, step in zip(used, self._steps(used, summed), strict=True):
                values[i] = values[i] + step
            _, _, gradients = self.differentiate(
                lambda: self.compute_batch_loss(x, y, sample_weight),
                at=values,
                state=before,
            )
            return [as_dense(gradients[i]) for i in used]

        if self.every == 1:
            found = from_above()
        else:
            due = ops.equal(self.optimizer.iterations % self.every, 0)
            found = ops.cond(due, from_above, lambda: found)
        for i, gradient in zip(used, found, strict=True):
            gradients[i] = gradient
        return loss, y_pred, gradients

    def _steps(self, used, gradients):
        """The way up: `rho` long, so a scaled loss changes nothing."""
        weights = [self.trainable_weights[i] for i in used]
        gradients = [ops.cast(g, "float32") for g in gradients]
        sizes: list[Any] = [1.0] * len(used)
        if self.adaptive:
            sizes = [
                ops.abs(ops.cast(w, "float32")) + _SMALLEST_WEIGHT
                if len(w.shape) > 1
                else 1.0
                for w in weights
            ]
        scaled = [s * g for s, g in zip(sizes, gradients, strict=True)]
        norm = ops.sqrt(sum(ops.sum(g * g) for g in scaled))
        length = self.rho / ops.where(norm > 0, norm, 1.0)
        return [
            ops.cast(length * s * g, w.dtype)
            for s, g, w in zip(sizes, scaled, weights, strict=True)
        ]

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {
            **super().get_config(),
            "rho": self.rho,
            "adaptive": self.adaptive,
            "every": self.every,
        }
