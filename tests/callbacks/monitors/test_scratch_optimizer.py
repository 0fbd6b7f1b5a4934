import keras
import numpy as np
import pytest
from keras import ops, optimizers

from keras_regimen.callbacks.monitors.scratch_optimizer import ScratchOptimizer
from keras_regimen.custom_optimizers import (
    LARS,
    LBFGS,
    AdaptiveGradientClipping,
    GradientNoise,
    PolyakAveraging,
    ScheduleFreeSGD,
    StepDecay,
)

OPTIMIZERS = {
    "momentum, clipped": lambda: optimizers.SGD(
        StepDecay(0.5, steps=2), momentum=0.9, clipnorm=0.5
    ),
    "adam": lambda: optimizers.AdamW(0.1, use_ema=True, ema_momentum=0.5),
    "scaled": lambda: optimizers.LossScaleOptimizer(
        AdaptiveGradientClipping(optimizers.Adam(0.1))
    ),
    "accumulating": lambda: optimizers.SGD(0.1, gradient_accumulation_steps=2),
    # By the path: biases are not adapted.
    "lars": lambda: LARS(0.1),
    "several": lambda: optimizers.MultiOptimizer(
        optimizers.OptimizerMap(
            optimizers.SGD(0.1), {".*kernel": ScheduleFreeSGD(0.5)}
        )
    ),
    "averaging": lambda: PolyakAveraging(optimizers.SGD(0.1)),
    "drawing": lambda: GradientNoise(optimizers.SGD(0.1), 0.3, seed=3),
}


def weights_and_gradients():
    layer = keras.layers.Dense(2, kernel_constraint="non_neg", name="dense")
    layer.build((None, 3))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.random((3, 2)), rng.random(2)])
    gradients = [
        ops.convert_to_tensor(rng.normal(size=w.shape), "float32")
        for w in layer.trainable_variables
    ]
    return layer.trainable_variables, gradients


def values(variables):
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


def apply(optimizer, gradients, weights):
    """Trains, as `fit` does."""
    if keras.config.backend() != "jax":
        optimizer.apply(gradients, weights)
        return
    found = optimizer.stateless_apply(
        [v.value for v in optimizer.variables],
        gradients,
        [w.value for w in weights],
    )
    groups = (weights, optimizer.variables)
    for variables, news in zip(groups, found, strict=True):
        for variable, new in zip(variables, news, strict=True):
            variable.assign(new)


def assert_same(a, b, **tolerance):
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_are_those_that_the_optimizer_then_makes(name):
    optimizer = OPTIMIZERS[name]()
    weights, gradients = weights_and_gradients()
    optimizer.build(weights)
    scratch = ScratchOptimizer(optimizer, weights)
    # Slots have grown, and the rate fallen, since the copies were made.
    for _ in range(3):
        apply(optimizer, gradients, weights)
    before = values(weights), values(optimizer.variables)
    for _ in range(2):
        updates = [
            ops.convert_to_numpy(ops.stop_gradient(update))
            for update in scratch.updates(gradients)
        ]
    assert_same(values(weights), before[0], rtol=0)
    assert_same(values(optimizer.variables), before[1], rtol=0)
    apply(optimizer, gradients, weights)
    moved = [a - b for a, b in zip(values(weights), before[0], strict=True)]
    assert np.any(moved[0])
    assert_same(updates, moved, rtol=1e-6, atol=1e-7)


def test_an_optimizer_that_evaluates_the_loss_is_refused():
    weights, _ = weights_and_gradients()
    with pytest.raises(ValueError, match="one gradient.*optimizer=lbfgs"):
        ScratchOptimizer(LBFGS(), weights)


NEEDS_A_TWIN = pytest.mark.skipif(
    keras.config.backend() == "jax", reason="an optimizer is a function there"
)


@NEEDS_A_TWIN
def test_an_optimizer_that_cannot_be_made_again_is_refused():
    class Nameless(optimizers.SGD):
        def __init__(self):
            super().__init__(0.1)

    weights, _ = weights_and_gradients()
    optimizer = Nameless()
    optimizer.build(weights)
    with pytest.raises(ValueError, match="configuration.*=nameless:"):
        ScratchOptimizer(optimizer, weights)


@NEEDS_A_TWIN
def test_an_optimizer_of_another_state_is_refused():
    class Moody(optimizers.SGD):
        made = 0

        def build(self, variables):
            super().build(variables)
            Moody.made += 1
            if Moody.made > 1:
                self.mood = self.add_variable((), name="mood")

    weights, _ = weights_and_gradients()
    optimizer = Moody(0.1)
    optimizer.build(weights)
    with pytest.raises(ValueError, match="state differs"):
        ScratchOptimizer(optimizer, weights)
