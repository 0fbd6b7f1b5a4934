import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import (
    Lookahead,
    OptimizerWrapper,
    PolyakAveraging,
    ProximalL1,
    ScheduleFreeSGD,
)


def test_hands_on_what_is_the_inner_optimizers():
    inner = keras.optimizers.SGD(0.5, momentum=0.9, loss_scale_factor=4.0)
    optimizer = OptimizerWrapper(OptimizerWrapper(inner))
    variable = keras.Variable(np.ones(2))
    optimizer.apply([ops.ones(2)], [variable])
    assert optimizer.innermost_optimizer is inner
    assert float(optimizer.learning_rate) == 0.5
    assert int(optimizer.iterations) == int(inner.iterations) == 1
    assert optimizer.scale_loss(3.0) == 12
    assert {id(v) for v in inner.variables} <= {
        id(v) for v in optimizer.variables
    }
    optimizer.learning_rate = 0.25
    optimizer.loss_scale_factor = 8.0
    assert float(inner.learning_rate) == 0.25
    assert inner.loss_scale_factor == 8
    weights = [ops.convert_to_numpy(v) + 1 for v in optimizer.variables]
    optimizer.set_weights(weights)
    for variable, weight in zip(optimizer.variables, weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), weight)


def test_does_as_the_inner_optimizer_to_the_bit():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(5, 3)).astype("float32")

    def path(optimizer):
        variable = keras.Variable(np.ones(3))
        for gradient in gradients:
            optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
            yield ops.convert_to_numpy(variable).copy()

    wrapped = list(path(OptimizerWrapper(keras.optimizers.Adam(0.1))))
    plain = list(path(keras.optimizers.Adam(0.1)))
    np.testing.assert_array_equal(wrapped, plain)


def test_excludes_from_weight_decay():
    optimizer = OptimizerWrapper(keras.optimizers.SGD(0.5, weight_decay=0.5))
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    kernel, bias = (keras.Variable(1.0, name=name) for name in ("k", "bias"))
    optimizer.apply([ops.zeros(())] * 2, [kernel, bias])
    assert ops.convert_to_numpy(kernel) == 0.75
    assert ops.convert_to_numpy(bias) == 1


def test_callback_lowers_the_inner_rate():
    optimizer = OptimizerWrapper(keras.optimizers.SGD(0.5))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer, "mse")
    callback = keras.callbacks.ReduceLROnPlateau(
        "loss", factor=0.5, patience=1, min_delta=10
    )
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(3):
        callback.on_epoch_end(epoch, {"loss": 1.0})
    assert float(optimizer.inner_optimizer.learning_rate) == 0.125


def test_name_of_an_optimizer_will_do():
    assert isinstance(
        OptimizerWrapper("adam").inner_optimizer, keras.optimizers.Adam
    )


@pytest.mark.parametrize(
    "outer",
    [
        keras.optimizers.LossScaleOptimizer,
        lambda sgd: keras.optimizers.MultiOptimizer(
            keras.optimizers.OptimizerMap(sgd)
        ),
    ],
)
def test_what_belongs_around_is_refused_inside(outer):
    with pytest.raises(ValueError, match=r"around `OptimizerWrapper`.*Receiv"):
        OptimizerWrapper(outer(keras.optimizers.SGD()))


def test_arguments_of_the_inner_optimizer_are_refused():
    with pytest.raises(ValueError, match=r"inner one.*clipnorm=1\.0"):
        OptimizerWrapper("sgd", clipnorm=1.0)
    with pytest.raises(ValueError, match="no_such"):
        OptimizerWrapper("no_such")


@pytest.mark.parametrize("wrapper", [Lookahead, PolyakAveraging, ProximalL1])
def test_schedule_free_optimizers_are_refused_where_weights_are_moved(wrapper):
    inner = OptimizerWrapper(ScheduleFreeSGD(name="free"))
    options = {"strength": 1.0} if wrapper is ProximalL1 else {}
    with pytest.raises(ValueError, match="moves weights.*=free"):
        wrapper(inner, **options)
