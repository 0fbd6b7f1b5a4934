import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers.reparameterization.kernel_wrapper import (
    Kernel,
    KernelWrapper,
    find_kernels,
    replaced,
    unrounded,
)
from keras_regimen.recipes.harness.engine.pairing import paired


@keras.saving.register_keras_serializable(package="test_kernel_wrapper")
class Doubled(KernelWrapper):
    def effective_kernels(self, kernels, training):
        return [2 * kernel.value for kernel in kernels]


def einsum(equation="abc,cde->abde", shape=(None, 3, 2), **options):
    return layers.EinsumDense(equation, shape, bias_axes="de", **options)


LINEAR = {
    "Dense": (lambda **o: layers.Dense(3, **o), (2, 5)),
    "EinsumDense": (einsum, (2, 4, 5)),
    "Conv1D": (lambda **o: layers.Conv1D(3, 2, **o), (2, 5, 2)),
    "Conv2D": (lambda **o: layers.Conv2D(4, 2, groups=2, **o), (2, 4, 4, 2)),
    "Conv3D": (lambda **o: layers.Conv3D(3, 2, **o), (2, 3, 3, 3, 2)),
    "Conv1DTranspose": (
        lambda **o: layers.Conv1DTranspose(3, 2, **o),
        (2, 4, 2),
    ),
    "Conv2DTranspose": (
        lambda **o: layers.Conv2DTranspose(3, 2, **o),
        (2, 3, 3, 2),
    ),
    "Conv3DTranspose": (
        lambda **o: layers.Conv3DTranspose(3, 2, **o),
        (2, 2, 2, 2, 2),
    ),
    "DepthwiseConv1D": (
        lambda **o: layers.DepthwiseConv1D(3, depth_multiplier=2, **o),
        (2, 5, 2),
    ),
    "DepthwiseConv2D": (
        lambda **o: layers.DepthwiseConv2D(2, depth_multiplier=2, **o),
        (2, 4, 4, 2),
    ),
}
OTHERS = {
    "SeparableConv1D": (lambda: layers.SeparableConv1D(3, 2), (2, 5, 2)),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(3, 2), (2, 4, 4, 2)),
    "Embedding": (lambda: layers.Embedding(7, 3), (2, 4)),
    "SimpleRNN": (lambda: layers.SimpleRNN(3), (2, 4, 2)),
    "GRU": (lambda: layers.GRU(3, return_sequences=True), (2, 4, 2)),
    "LSTM": (lambda: layers.LSTM(3, return_state=True), (2, 4, 2)),
    "ConvLSTM1D": (lambda: layers.ConvLSTM1D(3, 2), (2, 2, 4, 2)),
    "RNN": (
        lambda: layers.RNN([layers.GRUCell(2), layers.LSTMCell(3)]),
        (2, 4, 2),
    ),
    "Bidirectional": (lambda: layers.Bidirectional(layers.LSTM(2)), (2, 4, 2)),
    "TimeDistributed": (
        lambda: layers.TimeDistributed(layers.Dense(3)),
        (2, 4, 2),
    ),
}
each_layer = pytest.mark.parametrize(
    ("make", "shape"),
    [*LINEAR.values(), *OTHERS.values()],
    ids=[*LINEAR, *OTHERS],
)


def samples(shape):
    return np.random.default_rng(0).integers(0, 7, shape).astype("float32")


def numbers(outputs):
    return [ops.convert_to_numpy(x) for x in keras.tree.flatten(outputs)]


def assert_equal(first, second, **tolerance):
    for a, b in zip(numbers(first), numbers(second), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


@each_layer
def test_layer_is_called_with_the_replaced_kernels(make, shape):
    x, wrapper = samples(shape), Doubled(make())
    outputs = wrapper(x)
    stored = wrapper.get_weights()
    bare = make()
    bare.build(shape)
    bare.set_weights(
        [
            2 * w if "kernel" in v.name or v.name == "embeddings" else w
            for v, w in zip(bare.weights, stored, strict=True)
        ]
    )
    assert_equal(outputs, bare(x), rtol=1e-6)
    assert max(np.abs(y).max() for y in numbers(outputs)) > 0
    # The layer still owns its kernels, and they are what they were.
    assert all(isinstance(k.content, keras.Variable) for k in wrapper.kernels)
    assert wrapper.layer.weights == wrapper.weights
    plain = wrapper.strip()
    assert type(plain) is type(wrapper.layer)
    assert plain.name == wrapper.layer.name
    assert_equal(plain(x), outputs, rtol=1e-6)


@each_layer
def test_known_shapes_are_those_of_the_outputs(make, shape):
    wrapper = Doubled(make())
    expected = make().compute_output_shape((None, *shape[1:]))
    assert wrapper.compute_output_shape((None, *shape[1:])) == expected
    wrapper(samples(shape))


@pytest.mark.parametrize(("make", "shape"), LINEAR.values(), ids=LINEAR)
def test_weights_of_a_unit_reach_one_output_only(make, shape):
    layer = make(use_bias=False) if make is not einsum else einsum()
    layer.build(shape)
    (kernel,) = find_kernels(layer)
    units = [a for a in range(len(kernel.shape)) if a not in kernel.fan_in_axes]
    sizes = [kernel.shape[a] for a in units]
    reached = []
    for unit in np.ndindex(*sizes):
        value = np.zeros(kernel.shape)
        value[
            tuple(
                unit[units.index(a)] if a in units else slice(None)
                for a in range(len(kernel.shape))
            )
        ] = 1
        assert value.sum() == kernel.fan_in
        kernel.content.assign(value)
        outputs = ops.convert_to_numpy(layer(1 + samples(shape)))
        channels = outputs.any(axis=tuple(range(len(shape) - 1)))
        assert channels.sum() == 1
        reached.append(tuple(np.argwhere(channels)[0]))
    # All channels are reached, in the order of the units.
    assert reached == sorted(set(reached))
    assert len(reached) == np.prod(sizes) == channels.size


def test_wrapped_layer_starts_with_the_kernel_of_the_bare_one():
    def first_kernel(wrap):
        with paired(7):
            model = keras.Sequential(
                [keras.Input((3,)), wrap(layers.Dense(2, name="hidden"))]
            )
        return ops.convert_to_numpy(model.weights[0])

    np.testing.assert_array_equal(
        first_kernel(Doubled), first_kernel(lambda x: x)
    )


def test_training_moves_the_stored_kernel_by_the_chain_rule():
    x = samples((4, 3))
    model = keras.Sequential([Doubled(layers.Dense(2))])
    model.compile(keras.optimizers.SGD(0.5), lambda _, y: ops.sum(y, -1))
    model.build((None, 3))
    before = model.get_weights()
    model.train_on_batch(x, np.zeros((4, 2)))
    kernel, bias = model.get_weights()
    # d/dW sum(2 x W) / 4 = 2 mean(x), for each unit.
    step = 0.5 * 2 * np.repeat(x.mean(0)[:, None], 2, 1)
    np.testing.assert_allclose(before[0] - kernel, step, rtol=1e-5)
    np.testing.assert_allclose(before[1] - bias, 0.5, rtol=1e-6)


def test_kernel_comes_back_when_the_layer_fails():
    wrapper = Doubled(layers.Dense(2))
    wrapper.build((None, 3))
    variable = wrapper.layer.kernel
    wrapper.layer.input_spec = None
    with pytest.raises(Exception, match=r"(?i)shape|size|dim"):
        wrapper(np.ones((1, 4), "float32"))
    assert wrapper.layer.kernel is variable


def test_attributes_come_back_in_reverse_order_and_absent_ones_go():
    dense = layers.Dense(2)
    replacements = [(dense, "units", 3), (dense, "units", 4), (dense, "new", 1)]
    with replaced(replacements):
        assert (dense.units, dense.new) == (4, 1)
    assert dense.units == 2
    assert not hasattr(dense, "new")


def test_wrappers_apply_from_the_outermost_inwards():
    @keras.saving.register_keras_serializable(package="test_kernel_wrapper")
    class Squared(KernelWrapper):
        def effective_kernels(self, kernels, training):
            return [kernel.value**2 for kernel in kernels]

    inner = Squared(layers.Dense(1, kernel_initializer="ones"))
    wrapper = Doubled(inner)
    x = np.ones((1, 3), "float32")
    assert numbers(wrapper(x)) == [3 * (2 * 1) ** 2]
    plain = wrapper.strip()
    assert type(plain) is Squared
    assert numbers(plain(x)) == numbers(plain.strip()(x)) == [12]


def test_dtype_is_that_of_the_layer_and_kernels_are_read_unrounded():
    dense = layers.Dense(1, dtype="mixed_float16", kernel_initializer="ones")
    wrapper = Doubled(dense)
    assert wrapper.compute_dtype == "float16"
    wrapper.build((None, 1))
    dense.kernel.assign([[1 + 2**-12]])  # No float16.
    seen = []

    class Spy(Doubled):
        def effective_kernels(self, kernels, training):
            seen.append(kernels[0].value)
            return [kernels[0].value]

    outputs = Spy(dense)(np.ones((1, 1)))
    assert keras.backend.standardize_dtype(outputs.dtype) == "float16"
    assert keras.backend.standardize_dtype(seen[0].dtype) == "float32"
    assert numbers(seen) == [1 + 2**-12]
    assert dense.kernel._autocast  # As it was.


def test_explicit_dtype_decides_on_the_outputs():
    wrapper = Doubled(layers.Dense(1), dtype="mixed_bfloat16")
    outputs = wrapper(np.ones((1, 1)))
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    clone = Doubled.from_config(wrapper.get_config())
    assert clone.compute_dtype == "bfloat16"
    assert clone.layer.compute_dtype == "float32"


def test_unrounded_casts_what_is_no_variable():
    tensor = unrounded(ops.ones((2,), "float16"), "float32")
    assert keras.backend.standardize_dtype(tensor.dtype) == "float32"


def test_masks_and_states_reach_a_recurrent_layer():
    x = samples((2, 4, 3)) / 7
    mask = np.array([[True] * 4, [True, True, False, False]])
    state = np.ones((2, 3), "float32")
    wrapper, bare = Doubled(layers.GRU(3)), layers.GRU(3)
    wrapper.build(x.shape)
    bare.build(x.shape)
    bare.set_weights(wrapper.strip().get_weights())
    assert_equal(wrapper(x, mask=mask), bare(x, mask=mask), rtol=1e-6)
    masked = layers.Masking(mask_value=9.0)
    x[1, 2:] = 9
    assert_equal(wrapper(masked(x)), bare(x, mask=mask), rtol=1e-6)
    assert_equal(
        wrapper(x, initial_state=state), bare(x, initial_state=state), rtol=1e-6
    )


def test_layer_without_masks_gets_none():
    x = samples((2, 4, 3))
    mask = np.ones((2, 4), bool)
    wrapper = Doubled(layers.Dense(2))
    assert_equal(wrapper(x, mask=mask), wrapper(x))
    assert wrapper.supports_masking
    assert not Doubled(layers.Conv1D(2, 1)).supports_masking


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.BatchNormalization(),
        layers.LayerNormalization(),
        layers.TimeDistributed(layers.Dropout(0.5)),
        "Dense",
        None,
    ],
    ids=str,
)
def test_layer_without_kernel_is_refused_at_construction(layer):
    with pytest.raises(ValueError, match=r"(?i)layer.*(Received|supported)"):
        Doubled(layer)


@pytest.mark.parametrize(
    "cell", [layers.LSTMCell(2), layers.StackedRNNCells([layers.GRUCell(2)])]
)
def test_cell_is_refused_with_the_remedy(cell):
    with pytest.raises(ValueError, match=r"Doubled\(keras.layers.RNN\(cell\)"):
        Doubled(cell)


@keras.saving.register_keras_serializable(package="test_kernel_wrapper")
class OwnLayer(layers.Layer):
    def __init__(self, name_of_weight="kernel", **kwargs):
        super().__init__(**kwargs)
        self.name_of_weight = name_of_weight

    def build(self, input_shape):
        weight = self.add_weight(name="w", shape=(), initializer="ones")
        setattr(self, self.name_of_weight, weight)

    def call(self, inputs):
        return inputs * getattr(self, self.name_of_weight)


def test_somebody_elses_layer_is_judged_once_it_is_built():
    assert numbers(Doubled(OwnLayer())(np.ones((1, 1)))) == [2]
    wrapper = Doubled(OwnLayer("gamma"))
    with pytest.raises(ValueError, match="must have a kernel.*OwnLayer"):
        wrapper.build((None, 1))
    built = OwnLayer("gamma")
    built.build((None, 1))
    with pytest.raises(ValueError, match="must have a kernel.*OwnLayer"):
        Doubled(built)


def test_integer_attribute_called_kernel_is_none():
    own = OwnLayer()
    own.build((None, 1))
    own.embeddings = 3
    assert find_kernels(own) == [Kernel(own, "kernel")]


def test_strip_before_build_says_what_to_do():
    with pytest.raises(ValueError, match="built Doubled can be stripped"):
        Doubled(layers.Dense(2)).strip()
