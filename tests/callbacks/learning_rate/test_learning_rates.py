import keras
import pytest
from keras.optimizers import SGD, Adam, LossScaleOptimizer, MultiOptimizer

from keras_regimen.callbacks.learning_rate.learning_rates import (
    rate_of,
    rated_optimizers,
    schedule_of,
)
from keras_regimen.custom_optimizers import Lookahead, StepDecay


def test_the_owner_of_the_rate_is_within_all_wrappers():
    adam = Adam(0.25)
    wrapped = LossScaleOptimizer(Lookahead(adam))
    assert rated_optimizers(wrapped) == {"learning_rate": adam}
    assert rate_of(wrapped) == 0.25
    rated_optimizers(wrapped)["learning_rate"].learning_rate = 0.5
    assert rate_of(wrapped) == 0.5


def test_each_optimizer_of_several_has_a_name():
    parts = [SGD(), Adam(), SGD(), Lookahead(SGD())]
    model = keras.Sequential([keras.layers.Dense(1) for _ in range(4)])
    model.build((None, 1))
    paths = {layer.kernel.path: layer for layer in model.layers}
    several = MultiOptimizer(
        lambda variable: parts[
            model.layers.index(
                paths[variable.path.rpartition("/")[0] + "/kernel"]
            )
        ]
    )
    several.build(model.trainable_variables)
    assert rated_optimizers(several) == {
        "learning_rate_sgd": parts[0],
        "learning_rate_adam": parts[1],
        "learning_rate_sgd_1": parts[2],
        "learning_rate_sgd_2": parts[3].inner_optimizer,
    }


def test_no_optimizer_is_lost_to_the_number_of_another():
    parts = [SGD(name="sgd_1"), SGD(name="sgd"), SGD(name="sgd")]
    model = keras.Sequential([keras.layers.Dense(1) for _ in range(3)])
    model.build((None, 1))
    ids = {id(v): i for i, la in enumerate(model.layers) for v in la.weights}
    several = MultiOptimizer(lambda variable: parts[ids[id(variable)]])
    several.build(model.trainable_variables)
    assert rated_optimizers(several) == {
        "learning_rate_sgd_1": parts[0],
        "learning_rate_sgd": parts[1],
        "learning_rate_sgd_2": parts[2],
    }


@pytest.mark.parametrize("function", [StepDecay(0.5, 2), lambda: 0.5])
def test_a_schedule_is_told_from_a_number(function):
    assert schedule_of(SGD(function)) is function
    assert rate_of(SGD(function)) == 0.5
    assert schedule_of(SGD(0.5)) is None
