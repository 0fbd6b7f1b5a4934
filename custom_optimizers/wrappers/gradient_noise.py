"""Noise on the gradients, less and less."""

from typing import Any

import keras
from keras import ops

from ...custom_layers.seed_generator import SeedGenerator
from .._arguments import check_number
from .._state import dense
from .optimizer_wrapper import OptimizerWrapper

CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


@keras.saving.register_keras_serializable(package="keras_regimen")
class GradientNoise(OptimizerWrapper):
    """Adds Gaussian noise to the gradients, with a variance that decays.

    Use it for deep networks that hardly start to learn: noise leads out of
    plateaus and poor initial weights. In step t, counted from 0, the variance
    is `variance / (1 + t) ** decay`. The window of useful variances is narrow:
    search it on a log scale.

    Gradients are clipped first, and the noise comes after: so the clipping is
    this wrapper's, not the inner optimizer's. Under `tf.distribute` each
    replica draws its own noise for its share of the gradient, and they add up.

    Args:
        inner_optimizer: A Keras optimizer, its name or its configuration,
            without clipping.
        variance: Float of 0 or more (eta in the paper, which tries 0.01, 0.3
            and 1). 0 equals the inner optimizer to the bit. Default 0.01.
        decay: Float of 0 or more (gamma in the paper). Default 0.55.
        clipnorm: Optional float. Largest norm of each gradient.
        clipvalue: Optional float. Largest size of each gradient's elements.
        global_clipnorm: Optional float. Largest norm of all gradients
            together. At most one of the three; not with gradient
            accumulation, which would have to come before.
        seed: Optional integer. Fixes the sequence of the noise.
        name: Optional string. The optimizer's name.
        **kwargs: None: other arguments go to the inner optimizer.

    Raises:
        ValueError: If an argument is outside its range, if gradients would be
            clipped twice or accumulated afterwards, or if `OptimizerWrapper`
            refuses the inner optimizer.

    Example:

    >>> optimizer = GradientNoise(keras.optimizers.SGD(1.0), 0.01, seed=1)
    >>> weight = keras.Variable(np.zeros(10_000))
    >>> optimizer.apply([keras.ops.ones(10_000)], [weight])
    >>> round(float(weight.numpy().std()), 2)
    0.1

    Reference:

    - Neelakantan, Vilnis, Le, Sutskever, Kaiser, Kurach and Martens, "Adding
      gradient noise improves learning for very deep networks",
      [2015](https://arxiv.org/abs/1511.06807), section 3.
    """

    def __init__(
        self,
        inner_optimizer: Any,
        variance: float = 0.01,
        decay: float = 0.55,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        seed: int | None = None,
        name: str | None = None,
        **kwargs,
    ):
        super().__init__(inner_optimizer, name=name, **kwargs)
        self.variance = check_number("variance", variance)
        self.decay = check_number("decay", decay)
        innermost = self.innermost_optimizer
        inner = [n for n in CLIPPING if getattr(innermost, n) is not None]
        if inner:
            raise ValueError(
                "Noise comes after clipping: give the inner optimizer's "
                f"`{inner[0]}` to `GradientNoise`. "
                f"Received: {inner[0]}={getattr(innermost, inner[0])} in "
                f"inner_optimizer={innermost.name}"
            )
        clipping = {
            name: check_number(name, value, open_low=True)
            for name, value in zip(
                CLIPPING, (clipnorm, clipvalue, global_clipnorm), strict=True
            )
            if value is not None
        }
        steps = innermost.gradient_accumulation_steps
        if len(clipping) > 1 or (clipping and steps):
            raise ValueError(
                "At most one of `clipnorm`, `clipvalue` and `global_clipnorm` "
                "is possible, and none with an inner optimizer that "
                f"accumulates gradients. Received: {clipping}, "
                f"gradient_accumulation_steps={steps}"
            )
        for name in CLIPPING:
            setattr(self, name, clipping.get(name))
        self.seed = seed
        self.seed_generator = SeedGenerator(seed)
        # Keras tracks variables, and this one is to be saved and loaded.
        self.seed_state = self.seed_generator.state

    def step(self, gradients, variables):
        # Gradients come scaled, and weights know nothing of it.
        scale = self.loss_scale_factor or 1.0
        if any(getattr(self, name) is not None for name in CLIPPING):
            gradients = [
                g if g is None else dense(g) / scale for g in gradients
            ]
            gradients = self._clip_gradients(gradients)
            gradients = [g if g is None else g * scale for g in gradients]
        if self.variance:
            time = ops.cast(self.iterations + 1, "float32")
            variance = self.variance / ops.power(time, self.decay)
            # The mean of so many draws has the variance that is asked for.
            variance = variance * (
                self.innermost_optimizer.gradient_accumulation_steps or 1
            )
            stddev = scale * ops.sqrt(variance)
            gradients = [self._noisy(g, stddev) for g in gradients]
        super().step(gradients, variables)

    def _noisy(self, gradient, stddev):
        if gradient is None:
            return None
        gradient = dense(gradient)
        # Drawn in float32, whatever the gradient's dtype.
        noise = keras.random.normal(
            ops.shape(gradient), dtype="float32", seed=self.seed_generator
        )
        return gradient + ops.cast(stddev * noise, gradient.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "variance": self.variance,
            "decay": self.decay,
            **{name: getattr(self, name) for name in CLIPPING},
            "seed": self.seed,
        }
