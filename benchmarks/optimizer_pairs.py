"""Which step each optimizer's step is measured against.

A first-order optimizer's rival is Keras' Adam. A wrapper's rival is the inner
optimizer and, by hand, the wrapper's own arithmetic: so the bound is on what
wrapping costs. By hand means for this net alone: nothing is saved, checked,
cast or skipped.
"""

import keras
from keras import ops
from keras.optimizers import Adam

from keras_regimen import custom_optimizers as ours

PERIOD = 2  # Of `Lookahead`: a turn of the clock is as many steps.


class ByHand:
    """Adam, with something done to its gradients or to the weights."""

    def __init__(self):
        self.inner = Adam()

    def build(self, variables):
        self.inner.build(variables)
        self.kept = self.keep(variables)

    def keep(self, variables):
        """Returns what is kept from step to step."""
        del variables
        return ()

    def before(self, gradient, variable):
        """Returns the gradient that the inner optimizer gets."""
        del variable
        return gradient

    def after(self, variables):
        """Moves the weights after the inner optimizer's step."""

    def apply(self, gradients, variables):
        pairs = zip(gradients, variables, strict=True)
        self.inner.apply([self.before(*pair) for pair in pairs], variables)
        self.after(variables)


class Clipped(ByHand):
    """Gradients of each unit cut to a share of the weights' norm."""

    def before(self, gradient, variable):
        axes = tuple(range(max(len(variable.shape) - 1, 1)))

        def norms(tensor):
            return ops.sqrt(ops.sum(ops.square(tensor), axes, keepdims=True))

        largest = 0.01 * ops.maximum(norms(variable), 1e-3)
        size = ops.maximum(norms(gradient), 1e-30)
        return gradient * ops.minimum(largest / size, 1.0)


class Centralized(ByHand):
    """Gradients without their mean for each unit."""

    def before(self, gradient, variable):
        if len(variable.shape) < 2:
            return gradient
        return gradient - ops.mean(gradient, axis=0)


class Noisy(ByHand):
    """Gradients with Gaussian noise that fades."""

    def keep(self, variables):
        del variables
        return keras.random.SeedGenerator(0)

    def before(self, gradient, variable):
        time = ops.cast(self.inner.iterations + 1, "float32")
        noise = keras.random.normal(variable.shape, seed=self.kept)
        return gradient + ops.sqrt(0.01 / ops.power(time, 0.55)) * noise


class LookingAhead(ByHand):
    """Every few steps, halfway back to the slow weights."""

    def keep(self, variables):
        return [keras.Variable(variable) for variable in variables]

    def after(self, variables):
        def synchronize():
            for slow, variable in zip(self.kept, variables, strict=True):
                merged = 0.5 * slow.value + 0.5 * variable.value
                slow.assign(merged)
                variable.assign(merged)

        due = ops.equal(self.inner.iterations % PERIOD, 0)
        ops.cond(due, synchronize, lambda: None)


class Averaged(ByHand):
    """The arithmetic mean of the weights, kept beside them."""

    def keep(self, variables):
        return [keras.Variable(variable) for variable in variables]

    def after(self, variables):
        share = 1 / ops.cast(self.inner.iterations, "float32")
        for mean, variable in zip(self.kept, variables, strict=True):
            mean.assign((1 - share) * mean.value + share * variable.value)


class Thresholded(ByHand):
    """Kernels moved towards zero, and no farther."""

    def after(self, variables):
        limit = 1e-3 * self.inner.learning_rate.value
        for variable in variables:
            if len(variable.shape) > 1:
                value = variable.value
                variable.assign(value - ops.clip(value, -limit, limit))


# By name: a rival's maker and ours.
FIRST_ORDER = {
    "AdaBelief": (Adam, ours.AdaBelief),
    "LARS": (Adam, lambda: ours.LARS(0.1)),
    "RectifiedAdam": (Adam, ours.RectifiedAdam),
    "ScheduleFreeAdamW": (Adam, ours.ScheduleFreeAdamW),
    "ScheduleFreeSGD": (Adam, lambda: ours.ScheduleFreeSGD(0.1)),
    "Yogi": (Adam, ours.Yogi),
}
WRAPPERS = {
    "AdaptiveGradientClipping": (
        Clipped,
        lambda: ours.AdaptiveGradientClipping(Adam()),
    ),
    "GradientCentralization": (
        Centralized,
        lambda: ours.GradientCentralization(Adam()),
    ),
    "GradientNoise": (Noisy, lambda: ours.GradientNoise(Adam(), seed=0)),
    "Lookahead": (LookingAhead, lambda: ours.Lookahead(Adam(), PERIOD)),
    "PolyakAveraging": (Averaged, lambda: ours.PolyakAveraging(Adam())),
    "ProximalL1": (Thresholded, lambda: ours.ProximalL1(Adam(), 1e-3)),
}
PAIRS = FIRST_ORDER | WRAPPERS
BOUND = 1.1
