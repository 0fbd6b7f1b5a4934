import math

import keras
import numpy as np
import pytest
from keras import layers, ops, optimizers, regularizers

from keras_regimen.callbacks import Anneal
from keras_regimen.callbacks.anneal import layers_of
from keras_regimen.custom_layers import (
    AnnealedGaussianNoise,
    ScheduledDropout,
    WeightStandardization,
)
from keras_regimen.custom_models import fit_in_memory

BACKEND = keras.config.backend()
ONES = np.ones((32, 200), "float32")


class ShareOfZeros(layers.Layer):
    """Adds to the loss what share of its inputs is zero."""

    def call(self, inputs):
        zeros = ops.cast(ops.equal(inputs, 0), "float32")
        self.add_loss(ops.mean(zeros))
        return inputs[:, :1]


def model(*first):
    net = keras.Sequential([*first, ShareOfZeros()])
    net.add(layers.Dense(1, kernel_initializer="zeros"))
    net.compile(optimizers.SGD(0.0), "mse")
    net.build((None, 200))
    return net


def trained(net, *callbacks, fit=keras.Model.fit):
    return fit(
        net,
        ONES,
        np.zeros(32),
        epochs=3,
        batch_size=32,
        verbose=0,
        callbacks=list(callbacks),
    ).history


def rise(epoch):
    return 0.4 * epoch


@pytest.mark.parametrize("how", ["name", "class", "layer"])
@pytest.mark.parametrize("fit", [keras.Model.fit, fit_in_memory])
def test_a_compiled_step_follows_a_variable(fit, how):
    if fit is fit_in_memory and BACKEND == "torch":
        pytest.skip("It compiles no epochs.")
    dropout = ScheduledDropout(0.0, name="rising")
    net = model(keras.Sequential([dropout]))
    target = {"name": "rising", "class": ScheduledDropout, "layer": dropout}
    before = net.train_function
    history = trained(net, Anneal(target[how], "rate", rise), fit=fit)
    np.testing.assert_allclose(history["loss"], [0, 0.4, 0.8], atol=0.03)
    assert history["rate"] == [0, 0.4, 0.8]
    assert before is None


@pytest.mark.parametrize("fit", [keras.Model.fit, fit_in_memory])
def test_a_compiled_step_follows_a_number(fit):
    if fit is fit_in_memory and BACKEND == "torch":
        pytest.skip("It compiles no epochs.")
    net = model(layers.Dropout(0.1, name="rising"))
    history = trained(net, Anneal("rising", "rate", rise), fit=fit)
    np.testing.assert_allclose(history["loss"], [0, 0.4, 0.8], atol=0.03)


def test_a_penalty_follows():
    penalty = regularizers.L2(1.0)
    net = keras.Sequential(
        [
            keras.Input((200,)),
            layers.Dense(
                1, kernel_regularizer=penalty, kernel_initializer="ones"
            ),
        ]
    )
    # Without a step, the error of 200 stays: what changes is the penalty.
    net.compile(optimizers.SGD(0.0), "mae")
    history = trained(net, Anneal(penalty, "l2", lambda epoch: epoch))
    np.testing.assert_allclose(history["loss"], [200, 400, 600], rtol=1e-6)
    assert net.layers[0].kernel_regularizer.l2 == 2


def test_several_layers_are_set_at_once():
    noises = [AnnealedGaussianNoise(1.0), AnnealedGaussianNoise(2.0)]
    fade = Anneal(noises, "stddev", lambda epoch: 0.5**epoch)
    trained(model(*noises), fade)
    assert [float(noise.stddev) for noise in noises] == [0.25, 0.25]


def test_a_wrapped_layer_is_found_once():
    dense = layers.Dense(2, name="inside")
    net = keras.Sequential(
        [keras.Input((3,)), WeightStandardization(dense), layers.ReLU()]
    )
    assert [layer.name for layer in layers_of(net)].count("inside") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, "rate", rise), "`target` must be a layer.*target=3"),
        (("a", 3, rise), "`attribute` must be.*attribute=3"),
        (("a", "rate", 0.5), "`schedule` must be a function.*0.5"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Anneal(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing", "rate", rise), "no such layer. It has: falling, "),
        (("falling", "rates", rise), "attribute='rates', which is None"),
        (("falling", "name", rise), "attribute='name', which is 'falling'"),
        (("falling", "rate", lambda _: math.nan), "NaN for epoch 0"),
        (("falling", "rate", lambda _: 1.5), "`rate` must be a probability"),
    ],
)
def test_what_the_model_lacks_is_refused(arguments, message):
    net = model(ScheduledDropout(0.5, name="falling"))
    with pytest.raises(ValueError, match=message):
        trained(net, Anneal(*arguments))
