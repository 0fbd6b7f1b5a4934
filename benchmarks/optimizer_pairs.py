"""Which step each optimizer's step is measured against.

A first-order optimizer's rival is Keras' Adam. A wrapper's rival is the inner
optimizer and, by hand, the wrapper's own arithmetic: so the bound is on what
wrapping costs. By hand means for this net alone: nothing is saved, checked,
cast or skipped.

The updates of two first-order optimizers have, compiled by XLA, such a rival
too, and their ratio to Adam's update is for information. On a CPU, XLA computes
each array in a loop of its own, and all that one update of Adam reads and
writes is ten arrays the size of the weights. AdaBelief's second moment waits
for the new first: eleven, and XLA computes the first moments of all layers
before, so that none is in the cache any more. What `ScheduleFreeAdamW` steps
along goes into two sequences: thirteen. No order of the same arithmetic saves
them, so the bound is on what ours costs beyond it; their train steps are held
to Adam's.
"""

import keras
import tensorflow as tf
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


class Written:
    """A first-order optimizer, from its formula, for this net alone."""

    starts = (tf.zeros_like, tf.zeros_like)  # Of what is kept for a weight.

    def build(self, variables):
        self.steps = tf.Variable(0.0)
        self.slots = [
            [tf.Variable(start(variable.value)) for start in self.starts]
            for variable in variables
        ]


class Belief(Written):
    """AdaBelief, its scalars computed once."""

    def apply(self, gradients, variables):
        self.steps.assign_add(1.0)
        share = (1 - 0.999**self.steps) / (1 - 0.999)
        rate = 0.001 * tf.sqrt(share) / (1 - 0.9**self.steps)
        for gradient, variable, (m, s) in zip(
            gradients, variables, self.slots, strict=True
        ):
            m.assign_add(0.1 * (gradient - m))
            s.assign(0.999 * s + tf.square(gradient - m))
            variable.value.assign_sub(rate * m / tf.sqrt(s + 1e-13 * share))


class ScheduleFree(Written):
    """Schedule-free AdamW, its scalars computed once."""

    starts = (tf.zeros_like, tf.identity)

    def apply(self, gradients, variables):
        self.steps.assign_add(1.0)
        scale = tf.sqrt((1 - 0.999**self.steps) / (1 - 0.999))
        rate = 0.0025 * scale
        c = 1 / self.steps
        for gradient, variable, (v, z) in zip(
            gradients, variables, self.slots, strict=True
        ):
            v.assign(0.999 * v + tf.square(gradient))
            u = rate * gradient / (tf.sqrt(v) + 1e-8 * scale)
            z.assign_sub(u)
            y = variable.value
            y.assign((1 - c) * (y - 0.1 * u) + c * z)  # With z after the step.


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
COMPILED = {"AdaBelief": Belief, "ScheduleFreeAdamW": ScheduleFree}
BOUND = 1.1


def rivals(name, jit):
    """Yields a note, a rival of an optimizer's update, and its bound."""
    rival, _ = PAIRS[name]
    if jit and name in COMPILED:
        yield " / Adam", rival, None
        rival = COMPILED[name]
    yield "", rival, BOUND
