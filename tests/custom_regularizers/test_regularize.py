import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import WeightNormalization
from keras_regimen.custom_regularizers import (
    L2SP,
    GroupLasso,
    KLSparsity,
    regularize,
)

ROLES = {"kernel", "recurrent_kernel", "depthwise_kernel", "pointwise_kernel"}


def numbers(losses):
    return [float(ops.convert_to_numpy(loss)) for loss in losses]


def sequences():
    """Returns a model with all that holds kernels somewhere else."""
    words = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4)(words)
    shared = layers.Dense(4, name="shared")
    x = shared(shared(x))
    x = layers.TimeDistributed(layers.Dense(4))(x)
    x = WeightNormalization(layers.Dense(4))(x)
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(x)
    cells = [layers.GRUCell(4), layers.SimpleRNNCell(4)]
    x = layers.RNN(cells, return_sequences=True)(x)
    x = layers.MultiHeadAttention(2, 2)(x, x)
    x = layers.LayerNormalization()(x)
    inner = keras.Sequential(
        [
            keras.Input((5, 4)),
            layers.DepthwiseConv1D(2, name="dc"),
            layers.BatchNormalization(),
            layers.SeparableConv1D(4, 2),
            layers.PReLU(shared_axes=[1]),
        ],
        name="inner",
    )
    x = layers.GlobalAveragePooling1D()(inner(x))
    return keras.Model(words, layers.Dense(1)(x))


def small():
    return keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4),
            layers.BatchNormalization(),
            layers.Dense(1),
        ]
    )


@pytest.fixture(scope="module")
def pair():
    model = sequences()
    return model, regularize(model, keras.regularizers.L2(0.1))


def squares(model, names):
    return sum(
        np.square(ops.convert_to_numpy(w)).sum()
        for w in model.trainable_weights
        if w.name in names
    )


def test_kernels_by_role_and_nothing_else(pair):
    _, penalized = pair
    roles = ROLES | {"embeddings"}
    names = {w.name for w in penalized.trainable_weights}
    assert names > roles
    assert {"bias", "gamma", "beta", "alpha", "g"} & names >= {"bias", "gamma"}
    for weight in penalized.trainable_weights:
        assert (weight.regularizer is not None) == (weight.name in roles)
    assert sum(numbers(penalized.losses)) == pytest.approx(
        0.1 * squares(penalized, roles), rel=1e-5
    )


def test_weights_are_carried_over_and_the_model_stays(pair):
    model, penalized = pair
    assert model.losses == []
    assert [layer.name for layer in penalized.layers] == [
        layer.name for layer in model.layers
    ]
    for weight, twin in zip(model.weights, penalized.weights, strict=True):
        assert weight is not twin
        assert weight.name == twin.name
        np.testing.assert_array_equal(
            ops.convert_to_numpy(twin), ops.convert_to_numpy(weight)
        )
    words = np.arange(10).reshape(2, 5) % 7
    np.testing.assert_allclose(
        ops.convert_to_numpy(penalized(words)),
        ops.convert_to_numpy(model(words)),
        rtol=1e-6,
    )


def test_saved_model_loads_safely_with_the_penalty(pair, tmp_path):
    _, penalized = pair
    penalized.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    losses = [numbers(m.losses) for m in (loaded, penalized)]
    assert losses[0] == losses[1]
    assert len(losses[0]) > 15


def test_trained_copy_shares_no_memory_with_the_model():
    model = small()
    before = model.get_weights()
    penalized = regularize(model, keras.regularizers.L2(0.1))
    penalized.compile(keras.optimizers.SGD(0.1), "mse")
    penalized.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(penalized.get_weights()[0], before[0])


def test_biases_are_penalized_if_asked_for():
    penalized = regularize(small(), keras.regularizers.L2(0.1), biases=True)
    names = [w.name for w in penalized.trainable_weights if w.regularizer]
    assert names == ["kernel", "bias", "kernel", "bias"]


def test_each_kernel_gets_its_own_reference(tmp_path):
    model = small()
    penalized = regularize(model, L2SP(strength=2.0))
    assert numbers(penalized.losses) == [0, 0]
    kernel = penalized.layers[0].kernel
    kernel.assign(ops.convert_to_numpy(kernel) + 0.5)
    assert sum(numbers(penalized.losses)) == pytest.approx(2 * 12 * 0.25)
    penalized.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert sum(numbers(loaded.losses)) == pytest.approx(2 * 12 * 0.25)


def test_groups_lie_along_the_axes_of_the_layer():
    model = keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            # A name that does not tell.
            layers.DepthwiseConv2D(2, depth_multiplier=3, name="mixer"),
            layers.Conv2DTranspose(4, 2, name="up"),
        ]
    )
    penalized = regularize(model, GroupLasso(1.0))
    depthwise, transposed = (
        ops.convert_to_numpy(layer.kernel) for layer in penalized.layers
    )
    expected = [
        2 * np.sqrt((depthwise**2).sum((0, 1))).sum(),
        np.sqrt(24) * np.sqrt((transposed**2).sum((0, 1, 3))).sum(),
    ]
    found = numbers(penalized.losses)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_penalty_that_is_there_is_replaced():
    first = regularize(small(), keras.regularizers.L2(0.1))
    second = regularize(first, keras.regularizers.L1(0.1))
    assert len(second.losses) == 2
    assert isinstance(
        second.layers[0].kernel_regularizer, keras.regularizers.L1
    )
    assert isinstance(first.layers[0].kernel_regularizer, keras.regularizers.L2)


@keras.saving.register_keras_serializable(package="test_regularize")
class Bare(layers.Layer):
    """Has a kernel, and no argument for its penalty."""

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(3, 1))

    def call(self, inputs):
        return ops.matmul(inputs, self.kernel)


@keras.saving.register_keras_serializable(package="test_regularize")
class Stubborn(layers.Dense):
    """Has one, and goes its own way."""

    def __init__(self, units, kernel_regularizer=None, **kwargs):
        del kernel_regularizer
        super().__init__(units, kernel_regularizer="l2", **kwargs)


@pytest.mark.parametrize(
    ("model", "penalty", "message"),
    [
        (small, KLSparsity(0.1), "activity_regularizer.*Received: penalty"),
        (small, None, "Received: penalty=None"),
        (small, GroupLasso, "Received: penalty=<class"),
        (lambda: layers.Dense(2), GroupLasso(), "built model.*Received"),
        (lambda: keras.Sequential([layers.Dense(2)]), GroupLasso(), "built"),
        (
            lambda: keras.Sequential([keras.Input((3,)), layers.ReLU()]),
            GroupLasso(),
            "must have kernels",
        ),
        (
            lambda: keras.Sequential([keras.Input((3,)), Bare(name="bare")]),
            GroupLasso(),
            "lost when.*'bare/kernel' takes no kernel_regularizer",
        ),
        (
            lambda: keras.Sequential([keras.Input((3,)), Stubborn(2)]),
            GroupLasso(),
            "lost when.*stubborn/kernel",
        ),
        (sequences, L2SP(), "multi_head_attention/.*reference of its own"),
    ],
    ids=range(9),
)
def test_what_cannot_keep_the_penalty_is_refused(model, penalty, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        regularize(model(), penalty)
