import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import TiedConv2DTranspose

BACKEND = keras.config.backend()


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


FORMS = [
    {},
    {"padding": "same"},
    {"strides": 2, "padding": "same"},
    {"strides": (2, 1)},
    {"dilation_rate": 2},
]


def encoder(size=(6, 6), **form):
    layer = layers.Conv2D(4, 3, **form)
    shape = (None, *size, 2)
    if form.get("data_format") == "channels_first":
        shape = (None, 2, *size)
    layer.build(shape)
    return layer


@pytest.mark.parametrize("form", FORMS)
def test_equals_keras_layer_with_the_same_kernel(form):
    twin = encoder(**form)
    layer = TiedConv2DTranspose(
        twin,
        activation="tanh",
        bias_initializer=keras.initializers.RandomNormal(seed=1),
    )
    x = normal(3, 5, 4, 4)
    y = ops.convert_to_numpy(layer(x))
    theirs = layers.Conv2DTranspose(2, 3, activation="tanh", **form)
    theirs.build(x.shape)
    theirs.set_weights([twin.get_weights()[0], layer.get_weights()[1]])
    np.testing.assert_allclose(
        y, ops.convert_to_numpy(theirs(x)), rtol=1e-5, atol=1e-6
    )
    assert layer.compute_output_shape(x.shape) == y.shape
    assert layer(keras.Input((5, 4, 4))).shape == (None, *y.shape[1:])


# The strides of a "same" convolution divide the size.
@pytest.mark.parametrize("form", FORMS)
def test_is_the_adjoint_of_the_convolution(form):
    twin = encoder(**form)
    x = normal(3, *((7, 6) if form == {"strides": (2, 1)} else (6, 6)), 2)
    forth = ops.convert_to_numpy(twin(x))  # Its bias is zero.
    y = normal(*forth.shape)
    back = ops.convert_to_numpy(TiedConv2DTranspose(twin, use_bias=False)(y))
    assert back.shape == x.shape
    # Sums of 200 to 400 products in float32.
    scale = np.linalg.norm(forth) * np.linalg.norm(y)
    error = abs(np.vdot(forth, y) - np.vdot(x, back))
    assert error < 1e-5 * scale


def test_output_padding_gives_back_a_size_that_strides_do_not_divide():
    twin = encoder(strides=2, padding="same")
    hidden = twin(normal(3, 7, 7, 2))
    assert TiedConv2DTranspose(twin)(hidden).shape == (3, 8, 8, 2)
    layer = TiedConv2DTranspose(twin, output_padding=0)
    outputs = layer(hidden)
    assert outputs.shape == (3, 7, 7, 2)
    assert layer.compute_output_shape(hidden.shape) == (3, 7, 7, 2)
    assert layer.get_config()["output_padding"] == 0


@pytest.mark.skipif(
    BACKEND == "tensorflow", reason="TensorFlow's CPU kernels lack it"
)
def test_channels_first_is_the_same_with_axes_moved():
    last = encoder(strides=2, padding="same")
    first = encoder(strides=2, padding="same", data_format="channels_first")
    first.set_weights(last.get_weights())
    x = normal(3, 5, 4, 4)
    bias = {"bias_initializer": keras.initializers.RandomNormal(seed=1)}
    expected = ops.convert_to_numpy(TiedConv2DTranspose(last, **bias)(x))
    layer = TiedConv2DTranspose(first, **bias)
    y = ops.convert_to_numpy(layer(np.moveaxis(x, -1, 1)))
    np.testing.assert_allclose(
        np.moveaxis(y, 1, -1), expected, rtol=1e-5, atol=1e-6
    )
    assert layer.compute_output_shape((3, 4, 5, 4)) == y.shape


def test_groups_are_refused():
    with pytest.raises(ValueError, match="one group.*groups=2"):
        TiedConv2DTranspose(layers.Conv2D(4, 3, groups=2))


def test_output_padding_that_strides_do_not_allow_is_refused():
    with pytest.raises(ValueError, match="`output_padding`.*strides"):
        TiedConv2DTranspose(layers.Conv2D(4, 3, strides=2), output_padding=2)


def test_inputs_of_other_channels_are_refused():
    with pytest.raises(
        ValueError, match=r"filters, 4\. Received.*\(3, 5, 5, 3\)"
    ):
        TiedConv2DTranspose(encoder())(normal(3, 5, 5, 3))
