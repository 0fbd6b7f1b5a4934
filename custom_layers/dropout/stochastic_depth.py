"""Stochastic depth: drop whole residual branches while training."""

import numbers

import keras
from keras import ops

from ..seed_generator import SeedGenerator


@keras.saving.register_keras_serializable(package="keras_regimen")
class StochasticDepth(keras.layers.Layer):
    """Drops a residual branch at random while training.

    Use it as the last step of a branch: `x + StochasticDepth(0.1)(branch(x))`,
    with rates that grow with depth (`linear_decay_rates`). While training, a
    branch is lost with probability `rate`, and what survives is multiplied by
    `1 / (1 - rate)`, so the expected output equals the input. At inference
    and at rate 0 the layer is the identity. An input mask is passed on
    unchanged.

    Args:
        rate: Float in `[0, 1)`. The probability that a branch is lost (not
            the survival probability, and not a percentage). 0 turns the
            layer off.
        mode: `"row"` (the default) draws for each sample of the batch;
            `"batch"` draws once, and keeps or drops the branch for the whole
            batch (under `tf.distribute`, for each replica's part of it).
        seed: Optional integer in `[0, 2**31)`. Fixes the sequence of draws.
        **kwargs: Base layer arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Float tensor of shape `(batch, ...)`, of rank 1 or more. The
            batch size may change between calls.
        training: Boolean. Branches are dropped only if it is `True`.

    Returns:
        Float tensor of the same shape as `inputs`.

    Raises:
        ValueError: If `rate` is outside `[0, 1)`, `mode` is unknown or `seed`
            is not an integer in `[0, 2**31)`.

    Example:

    >>> branch = keras.ops.ones((4, 2))
    >>> tuple(StochasticDepth(rate=0.2)(branch, training=True).shape)
    (4, 2)

    Reference:

    - Huang, Sun, Liu, Sedra and Weinberger, "Deep Networks with Stochastic
      Depth", [2016](https://arxiv.org/abs/1603.09382). The paper draws once
      for a mini-batch (our `mode="batch"`) and scales by `1 - rate` at
      inference; we draw for each sample by default, and scale by the inverse
      while training, so that a trained model can do without the layer. The
      branch is computed even where it is dropped: no time is saved.
    """

    def __init__(
        self,
        rate: float,
        mode: str = "row",
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not (isinstance(rate, numbers.Real) and 0 <= rate < 1):
            raise ValueError(
                "`rate` must be a probability in [0, 1). To drop a branch "
                f"always, remove it from the model. Received: rate={rate}"
            )
        if mode not in ("row", "batch"):
            raise ValueError(
                '`mode` must be "row" (a draw for each sample) or "batch" '
                f"(one draw for the batch). Received: mode={mode!r}"
            )
        self.rate = float(rate)
        self.mode = mode
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs, training=None):
        if not training or self.rate == 0:
            return inputs
        # `ops.shape` and not `.shape`, whose batch size is `None` in a
        # compiled graph.
        rows = ops.shape(inputs)[0] if self.mode == "row" else 1
        noise_shape = (rows,) + (1,) * (len(inputs.shape) - 1)
        # float32 whatever the policy: float16 has too few steps for a rate.
        noise = keras.random.uniform(
            noise_shape, dtype="float32", seed=self.seed_generator
        )
        # `where` rather than a product: 0 * inf would be NaN.
        scaled = inputs / (1 - self.rate)
        return ops.where(noise >= self.rate, scaled, ops.zeros_like(scaled))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "rate": self.rate,
            "mode": self.mode,
            "seed": self.seed,
        }


def linear_decay_rates(rate: float, num_branches: int) -> list[float]:
    """Returns a drop rate for each branch, growing linearly with depth.

    Use it to set the rates of a stack of `StochasticDepth` layers: the early
    branches, which later ones build on, are dropped less often.

    Args:
        rate: Float in `[0, 1)`. The rate of the last branch.
        num_branches: Positive integer. The number of branches, L.

    Returns:
        A list of L floats: branch l, counted from 1, gets `rate * l / L`, so
        the last gets `rate` itself.

    Raises:
        ValueError: If `rate` is outside `[0, 1)` or `num_branches` is not a
            positive integer.

    Example:

    >>> linear_decay_rates(0.5, num_branches=4)
    [0.125, 0.25, 0.375, 0.5]

    Reference:

    - Huang, Sun, Liu, Sedra and Weinberger, "Deep Networks with Stochastic
      Depth", [2016](https://arxiv.org/abs/1603.09382), equation 4, where
      `1 - rate` is the survival probability of the last branch.
    """
    if not (isinstance(rate, numbers.Real) and 0 <= rate < 1):
        raise ValueError(
            "`rate` must be a probability in [0, 1), the drop rate of the "
            f"last branch. Received: rate={rate}"
        )
    if not (isinstance(num_branches, numbers.Integral) and num_branches > 0):
        raise ValueError(
            "`num_branches` must be a positive integer. "
            f"Received: num_branches={num_branches}"
        )
    # l / L first: it is exactly 1 for the last branch.
    return [
        rate * (branch / num_branches) for branch in range(1, num_branches + 1)
    ]
