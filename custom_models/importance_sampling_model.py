"""Training on the candidates of a batch from which most is to be learned."""

from typing import Any

import keras
from keras import ops, tree

from ..custom_layers.seed_generator import SeedGenerator
from ..custom_optimizers.autodiff import InnerScope
from ._logged_training_method import LoggedTrainingMethod
from ._output_gradient import gradient_lengths, sample_losses, weigh


@keras.saving.register_keras_serializable(package="keras_regimen")
class ImportanceSamplingModel(LoggedTrainingMethod):
    """Draws from each batch the samples with large gradients, and weighs them.

    Use it where most samples are learned already, and a step costs much more
    than a forward pass. A batch of `fit` is B candidates; they are scored by a
    forward pass, and the step is taken on `draws` = b of them, drawn with
    replacement by probabilities p in proportion to their scores. Weights of
    1 / (B p) keep the gradient unbiased, so only its variance changes.

    While little is to be gained, a step takes the first b rows, without the
    forward pass: `fit` must shuffle, as it does by default. It is switched on
    by tau, the factor by which b would have to grow for the same variance;
    its moving average is kept with the weights. Training logs
    `variance_ratio`, the second moment of the drawn gradient over that of a
    uniform draw, 1 / tau^2, estimated from the bound on gradients (their mean
    is neglected, which would lower the ratio further), and `sampling`, the
    share of steps in which it was on.

    Metrics of training are measured on the rows drawn: `weighted_metrics`
    estimate those of all candidates, `metrics` do not. Batch normalization
    sees the rows drawn, too; other normalization is not affected.

    Args:
        model: A `keras.Model`. Where it is functional or sequential, a softmax
            or sigmoid as its last operation is found. Subclassed models should
            return logits.
        draws: Positive integer, the rows that a step learns from. Give `fit` a
            `batch_size` some times larger: the paper has 3 to 10 times.
        score: `"upper_bound"`, the length of the loss' gradient with respect
            to the last pre-activations, or `"loss"`.
        tau_threshold: Float, from where on it is on: 0 is always, infinity
            never. Defaults to `None`, (B + 3 b) / (3 b), where a step starts
            to gain time if a backward pass costs two forward ones. While it is
            off, tau is known of b rows alone, and at most the root of b: where
            that is below the threshold, it never comes on.
        smoothing: Float in `[0, 1]`, the share of uniform draws, which keeps
            weights below 1 / `smoothing`. Defaults to 0.
        momentum: Float in `[0, 1)` of the moving average, which starts at 0.
            Defaults to 0.9.
        seed: Optional integer. Fixes the draws.
        **kwargs: Base model arguments, such as `name`.

    Call arguments:
        inputs: What the wrapped model takes.
        training: Boolean, handed on.

    Raises:
        ValueError: If `draws` is not a positive integer, `score` not one of
            the two, `tau_threshold` negative, or `smoothing` or `momentum` out
            of its range.

    Example:

    >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model = ImportanceSamplingModel(net, draws=8)
    >>> model.compile("sgd", "mse")
    >>> x = np.random.default_rng(0).normal(size=(256, 2))
    >>> history = model.fit(x, x[:, :1], batch_size=64, epochs=2, verbose=0)
    >>> sorted(history.history)
    ['loss', 'sampling', 'variance_ratio']

    Reference:

    - Katharopoulos and Fleuret, "Not All Samples Are Created Equal: Deep
      Learning with Importance Sampling", 2018
      (https://arxiv.org/abs/1803.00942), algorithm 1. They score in the mode
      of training and we in that of inference.
    - Katharopoulos and Fleuret, "Biased Importance Sampling for Deep Neural
      Network Training", 2017 (https://arxiv.org/abs/1706.00043), for the loss
      as the score. Their bias is left out.
    """

    def __init__(
        self,
        model: keras.Model,
        draws: int,
        score: str = "upper_bound",
        tau_threshold: float | None = None,
        smoothing: float = 0.0,
        momentum: float = 0.9,
        seed: int | None = None,
        **kwargs,
    ):
        if not (isinstance(draws, int) and draws >= 1):
            raise ValueError(
                f"`draws` must be a positive integer. Received: draws={draws}"
            )
        if score not in ("upper_bound", "loss"):
            raise ValueError(
                '`score` must be "upper_bound" or "loss". '
                f"Received: score={score!r}"
            )
        if tau_threshold is not None and not tau_threshold >= 0:
            raise ValueError(
                "`tau_threshold` must be 0 or more, or `None` for the paper's. "
                f"Received: tau_threshold={tau_threshold}"
            )
        if not 0 <= smoothing <= 1:
            raise ValueError(
                "`smoothing` must be a share in [0, 1]. "
                f"Received: smoothing={smoothing}"
            )
        if not 0 <= momentum < 1:
            raise ValueError(
                f"`momentum` must be in [0, 1). Received: momentum={momentum}"
            )
        logged = ("variance_ratio", "sampling")
        super().__init__(model, logged=logged, **kwargs)
        self.draws = draws
        self.score = score
        self.tau_threshold = tau_threshold
        self.smoothing = smoothing
        self.momentum = momentum
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        self.tau = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            autocast=False,
            aggregation="mean",
            name="tau",
        )
        self._learned_from: tuple | None = None

    def compute_gradients(self, x: Any, y: Any, sample_weight: Any):
        """Returns what the rows drawn teach."""
        candidates = ops.shape(tree.flatten(x)[0])[0]
        draws = ops.minimum(self.draws, candidates)
        if isinstance(candidates, int):
            draws = min(self.draws, candidates)
        # Drawn here and not in a branch, where JAX would lose the seed.
        uniform = keras.random.uniform((draws,), seed=self.seed_generator)
        on = ops.greater_equal(self.tau, self._threshold(candidates, draws))

        def by_score():
            probabilities, lengths = self._sampler(x, y, sample_weight)
            rows = _draw(probabilities, uniform)
            chosen = ops.take(probabilities, rows)
            weights = 1 / (ops.cast(candidates, "float32") * chosen)
            return rows, weights, _variance_ratio(probabilities, lengths)

        def as_they_come():
            return ops.arange(draws), ops.ones_like(uniform), ops.ones(())

        rows, weights, ratio = ops.cond(on, by_score, as_they_come)
        x, y, given = _rows_of((x, y, sample_weight), rows)
        weighted = weigh(given, weights)
        loss, y_pred, gradients = super().compute_gradients(x, y, weighted)
        # Those of this very step, where Keras measures what y_pred is worth.
        self._learned_from = (x, y, weighted)
        known = self._probabilities(x, y, given, y_pred)
        ratio = ops.where(on, ratio, _variance_ratio(*known))
        self.tau.assign(
            self.momentum * self.tau + (1 - self.momentum) * ops.rsqrt(ratio)
        )
        self.log(ratio, ops.cast(on, "float32"))
        return loss, y_pred, gradients

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ):
        """Updates the metrics; in training, on the rows learned from."""
        learned_from, self._learned_from = self._learned_from, None
        if learned_from is not None:
            x, y, sample_weight = learned_from
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def sampling_probabilities(
        self, x: Any, y: Any, sample_weight: Any = None
    ) -> Any:
        """Returns the probability of each row to be drawn, were it on.

        Args:
            x: Inputs of the candidates.
            y: Their targets.
            sample_weight: Their weights, or `None`.

        Returns:
            Tensor of shape `(candidates,)` that sums to 1.
        """
        return self._sampler(x, y, sample_weight)[0]

    def get_config(self) -> dict:
        """Returns the arguments, for saving."""
        return {
            **super().get_config(),
            "draws": self.draws,
            "score": self.score,
            "tau_threshold": self.tau_threshold,
            "smoothing": self.smoothing,
            "momentum": self.momentum,
            "seed": self.seed,
        }

    def _threshold(self, candidates, draws):
        if self.tau_threshold is not None:
            return self.tau_threshold
        candidates, draws = (
            ops.cast(n, "float32") for n in (candidates, draws)
        )
        return (candidates + 3 * draws) / (3 * draws)

    def _sampler(self, x, y, sample_weight):
        with InnerScope(collect_losses=True):
            y_pred = self(x, training=False)
        return self._probabilities(x, y, sample_weight, y_pred)

    def _probabilities(self, x, y, sample_weight, y_pred):
        """Probabilities, and how long the samples' gradients are at most."""
        sample = (x, y, sample_weight)
        lengths = gradient_lengths(self, *sample, y_pred)
        scores = lengths
        if self.score == "loss":
            scores = ops.relu(sample_losses(self, *sample, y_pred))
        total = ops.sum(scores)
        even = ops.ones_like(scores) / ops.sum(ops.ones_like(scores))
        shares = ops.where(
            total > 0, scores / ops.where(total > 0, total, 1.0), even
        )
        return (
            (1 - self.smoothing) * shares + self.smoothing * even,
            lengths,
        )


def _draw(probabilities, uniform):
    """Rows by the inverse of the distribution function.

    A comparison of all with all, which every compiler takes.
    """
    edges = ops.cumsum(probabilities)
    below = edges <= (uniform * edges[-1])[:, None]
    rows = ops.sum(ops.cast(below, "int32"), axis=1)
    return ops.minimum(rows, ops.shape(probabilities)[0] - 1)


def _variance_ratio(probabilities, lengths):
    """The second moment of a drawn gradient over that of a uniform draw."""
    squares = lengths * lengths
    possible = probabilities > 0
    drawn = ops.where(
        possible, squares / ops.where(possible, probabilities, 1.0), 0.0
    )
    even = ops.sum(squares) * ops.sum(ops.ones_like(squares))
    ratio = ops.sum(drawn) / ops.where(even > 0, even, 1.0)
    return ops.where(even > 0, ratio, 1.0)


def _rows_of(data, rows):
    return tree.map_structure(
        lambda a: None if a is None else ops.take(a, rows, axis=0), data
    )
