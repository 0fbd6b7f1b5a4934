import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_regimen.custom_layers import WeightNormalization


def run(layer, x, training=False, **options):
    return ops.convert_to_numpy(layer(x, training=training, **options))


def values(variables):
    return [ops.convert_to_numpy(v).copy() for v in variables]


def samples(*shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(1, 2, size=shape).astype("float32")


def normalized(kernel, gain, axes):
    length = np.sqrt((kernel**2).sum(axes, keepdims=True))
    return kernel / length * np.expand_dims(gain, axes)


LAYERS = [
    (lambda **o: layers.Dense(3, **o), (5,), 0),
    (lambda **o: layers.Conv1D(3, 2, **o), (6, 2), (0, 1)),
    (lambda **o: layers.Conv2DTranspose(3, 2, **o), (4, 4, 2), (0, 1, 3)),
    (
        lambda **o: layers.DepthwiseConv2D(2, depth_multiplier=2, **o),
        (4, 4, 3),
        (0, 1),
    ),
]
each_layer = pytest.mark.parametrize(("make", "shape", "axes"), LAYERS)


@each_layer
def test_layer_starts_as_it_would_without_the_wrapper(make, shape, axes):
    x = samples(4, *shape)
    layer = make()
    wrapper = WeightNormalization(layer, data_dependent_init=False)
    outputs = run(wrapper, x, training=True)
    np.testing.assert_array_equal(outputs, run(layer, x))
    assert len(wrapper.trainable_weights) == 3  # Kernel, bias and gain.


@each_layer
def test_kernel_is_gain_times_direction(make, shape, axes):
    layer = make()
    wrapper = WeightNormalization(layer, data_dependent_init=False)
    wrapper.build((None, *shape))
    kernel, gain = (
        samples(*v.shape, seed=i)
        for i, v in enumerate([layer.kernel, wrapper.gains[0]])
    )
    layer.kernel.assign(kernel)
    wrapper.gains[0].assign(gain)
    plain = wrapper.strip()
    np.testing.assert_allclose(
        ops.convert_to_numpy(plain.kernel),
        normalized(kernel, gain, axes),
        rtol=1e-5,
    )
    x = samples(2, *shape)
    np.testing.assert_allclose(
        run(plain, x), run(wrapper, x), rtol=1e-5, atol=1e-5
    )


def test_ten_steps_of_training_follow_pytorch():
    torch = pytest.importorskip("torch")
    from torch.nn.utils.parametrizations import weight_norm

    dense = layers.Dense(4)
    wrapper = WeightNormalization(dense, data_dependent_init=False)
    model = keras.Sequential([keras.Input((5,)), wrapper])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    linear = torch.nn.Linear(5, 4)
    kernel = values([dense.kernel])[0]
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(kernel.T))
        linear.bias.zero_()
    linear = weight_norm(linear)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
    for seed in range(10):
        x, y = samples(8, 5, seed=seed), samples(8, 4, seed=seed + 99)
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(
            linear(torch.tensor(x)), torch.tensor(y)
        )
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(
            model.train_on_batch(x, y), loss.item(), rtol=1e-5
        )
    theirs = linear.parametrizations.weight
    gain, direction = (
        p.detach().numpy() for p in (theirs.original0, theirs.original1)
    )
    assert np.abs(direction.T - kernel).max() > 1e-3  # It has moved.
    ours = values([wrapper.gains[0], dense.kernel, dense.bias])
    for mine, other in zip(
        ours, [gain[:, 0], direction.T, linear.bias.detach()], strict=True
    ):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)


def test_transposed_convolution_follows_pytorch():
    torch = pytest.importorskip("torch")
    from torch.nn.utils.parametrizations import weight_norm

    layer = layers.Conv1DTranspose(3, 2, use_bias=False)
    wrapper = WeightNormalization(layer, data_dependent_init=False)
    wrapper.build((None, 6, 2))
    wrapper.gains[0].assign([1.0, 2.0, 3.0])
    conv = torch.nn.ConvTranspose1d(2, 3, 2, bias=False)
    kernel = values([layer.kernel])[0]  # (size, out, in)
    with torch.no_grad():  # (in, out, size)
        conv.weight.copy_(torch.tensor(kernel.transpose(2, 1, 0)))
    conv = weight_norm(conv, dim=1)
    with torch.no_grad():
        gain = conv.parametrizations.weight.original0
        gain.copy_(torch.tensor([1.0, 2.0, 3.0]).reshape(gain.shape))
        x = samples(2, 6, 2)
        expected = conv(torch.tensor(x.transpose(0, 2, 1))).numpy()
    np.testing.assert_allclose(
        run(wrapper, x), expected.transpose(0, 2, 1), rtol=1e-5, atol=1e-5
    )


@pytest.fixture
def floatx():
    """The precision of a gradient check; on JAX float64 is switched off."""
    floatx = "float32" if keras.config.backend() == "jax" else "float64"
    keras.config.set_floatx(floatx)
    yield floatx
    keras.config.set_floatx("float32")


def test_gradient_agrees_with_finite_differences(floatx):
    tolerance = {"float64": 1e-7, "float32": 1e-4}[floatx]
    x, y = samples(4, 3).astype("float64"), samples(4, 2, seed=1)
    dense = layers.Dense(2, use_bias=False, dtype=floatx)
    wrapper = WeightNormalization(dense, data_dependent_init=False)
    inputs = keras.Input((3,), dtype=floatx)
    model = keras.Model(inputs, wrapper(inputs))
    # Squared, so that all gradients depend on the gains: TensorFlow's graph
    # optimizer now and then updates one that no gradient waits for, as with a
    # linear loss, before the kernel's gradient has read it.
    model.compile(
        keras.optimizers.SGD(1.0),
        lambda y, p: ops.sum(y * ops.square(p), -1),
    )
    start = [samples(*v.shape, seed=2).astype("float64") for v in model.weights]
    model.set_weights(start)
    model.train_on_batch(x, y)
    gradients = [
        a - b for a, b in zip(start, values(model.weights), strict=True)
    ]

    def loss(point):
        by_shape = sorted(point, key=np.ndim)
        outputs = x @ normalized(by_shape[1], by_shape[0], 0)
        return np.mean(np.sum(y * outputs**2, -1))

    for i, gradient in enumerate(gradients):
        for at in np.ndindex(gradient.shape):
            slope = 0
            for sign in (1, -1):
                point = [w.copy() for w in start]
                point[i][at] += sign * 1e-6
                slope += sign * loss(point) / 2e-6
            np.testing.assert_allclose(
                gradient[at], slope, rtol=tolerance, atol=tolerance
            )


SEPARABLE = (lambda **o: layers.SeparableConv1D(3, 2, **o), (6, 2), None)


@pytest.mark.parametrize(("make", "shape", "axes"), [*LAYERS, SEPARABLE])
def test_first_training_batch_makes_outputs_standard(make, shape, axes):
    x = samples(16, *shape)
    layer = make(bias_initializer="ones")
    wrapper = WeightNormalization(layer)
    wrapper.build((None, *shape))
    kernels = values(layer.weights)
    first = run(wrapper, x, training=True)
    over = tuple(range(first.ndim - 1))
    np.testing.assert_allclose(first.mean(over), 0, atol=1e-5)
    np.testing.assert_allclose(first.std(over), 1, rtol=1e-4)
    # Inference and further batches use what was found, and change nothing.
    np.testing.assert_allclose(run(wrapper, x), first, rtol=1e-4, atol=1e-5)
    other = 3 * samples(4, *shape, seed=1)
    again = run(wrapper, other, training=True)
    np.testing.assert_allclose(run(wrapper, other), again, rtol=1e-4, atol=1e-5)
    assert abs(again.std() - 1) > 0.1
    np.testing.assert_allclose(run(wrapper, x), first, rtol=1e-4, atol=1e-5)
    for before, after in zip(kernels, values(layer.weights), strict=True):
        np.testing.assert_array_equal(before, after)
    plain = wrapper.strip()
    np.testing.assert_allclose(run(plain, x), first, rtol=1e-4, atol=1e-5)


def test_channels_first_are_found():
    if keras.config.backend() == "tensorflow":
        pytest.skip("no convolution with channels first on a CPU")
    layer = layers.Conv1D(3, 2, data_format="channels_first")
    first = run(WeightNormalization(layer), samples(8, 2, 6), training=True)
    np.testing.assert_allclose(first.mean((0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(first.std((0, 2)), 1, rtol=1e-4)


def test_inference_initializes_nothing():
    x = samples(8, 5)
    wrapper = WeightNormalization(layers.Dense(3))
    np.testing.assert_allclose(
        run(wrapper, x), run(wrapper.layer, x), rtol=1e-5, atol=1e-6
    )
    first = run(wrapper, x, training=True)
    np.testing.assert_allclose(first.std(0), 1, rtol=1e-4)
    assert abs(run(wrapper, 2 * x).std(0) - 2).max() < 1e-3


def test_initialization_comes_before_the_activation():
    x = samples(64, 5)
    wrapper = WeightNormalization(layers.Dense(3, activation="relu"))
    first = run(wrapper, x, training=True)
    plain = WeightNormalization(layers.Dense(3))
    plain.build((None, 5))
    plain.layer.set_weights(values(wrapper.layer.weights))
    plain.gains[0].assign(wrapper.gains[0])
    standard = run(plain, x, training=True)
    assert standard.min() < 0
    np.testing.assert_allclose(first, np.maximum(standard, 0), atol=1e-6)


def test_masked_steps_do_not_count_in_the_initialization():
    x = samples(8, 4, 5)
    mask = np.ones((8, 4), bool)
    mask[::2, 2:] = False
    x[~mask] = 1e3
    outputs = run(WeightNormalization(layers.Dense(3)), x, True, mask=mask)
    np.testing.assert_allclose(outputs[mask].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(outputs[mask].std(0), 1, rtol=1e-4)


def test_channels_that_do_not_vary_stay():
    wrapper = WeightNormalization(layers.Dense(2))
    x = np.ones((4, 3), "float32")
    outputs = run(wrapper, x, training=True)
    np.testing.assert_allclose(outputs, run(wrapper.layer, x), rtol=1e-6)


def test_without_bias_only_the_variance_is_set():
    x = samples(32, 5)
    dense = layers.Dense(3, use_bias=False)
    outputs = run(WeightNormalization(dense), x, training=True)
    bare = run(dense, x)
    np.testing.assert_allclose(outputs, bare / bare.std(0), rtol=1e-4)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_initialization_in_fit_equals_starting_from_its_result(jit_compile):
    if jit_compile and keras.config.backend() == "torch":
        pytest.skip("torch.compile takes 20 s a model")
    x, y = samples(8, 5), samples(8, 3, seed=1)

    def trained(wrapper, epochs):
        model = keras.Sequential([wrapper])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit_compile)
        model.fit(x, y, epochs=epochs, shuffle=False, verbose=0)
        return wrapper

    keras.utils.set_random_seed(1)
    ours = trained(WeightNormalization(layers.Dense(3)), 3)
    keras.utils.set_random_seed(1)
    start = WeightNormalization(layers.Dense(3))
    run(start, x, training=True)
    # The same function, with gain and bias themselves where it is.
    paper = WeightNormalization(layers.Dense(3), data_dependent_init=False)
    paper.build(x.shape)
    paper.layer.kernel.assign(start.layer.kernel)
    paper.layer.bias.assign(start.strip().bias)
    paper.gains[0].assign(start.gains[0] + start.gain_offset)
    trained(paper, 3)
    np.testing.assert_allclose(
        run(ours, x), run(paper, x), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(
        *values([ours.layer.kernel, paper.layer.kernel]), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        *values([ours.gains[0] + ours.gain_offset, paper.gains[0]]), rtol=1e-4
    )


def test_recurrent_kernels_have_gains_of_their_own():
    x = samples(2, 4, 3)
    wrapper = WeightNormalization(layers.LSTM(2), data_dependent_init=False)
    np.testing.assert_allclose(
        run(wrapper, x), run(wrapper.layer, x), rtol=1e-6
    )
    assert [tuple(gain.shape) for gain in wrapper.gains] == [(8,), (8,)]
    for gain in wrapper.gains:
        gain.assign(2 * gain)
    cell, plain = wrapper.layer.cell, wrapper.strip().cell
    for name in ("kernel", "recurrent_kernel"):
        old, new = values([getattr(cell, name), getattr(plain, name)])
        np.testing.assert_allclose(new, 2 * old, rtol=1e-5)


def test_norms_are_found_in_float32():
    dense = layers.Dense(2, dtype="mixed_float16")
    wrapper = WeightNormalization(dense)
    wrapper.build((None, 2))
    dense.kernel.assign(np.full((2, 2), 40000.0))  # Squares are no float16.
    outputs = run(wrapper, samples(16, 2), training=True)
    assert outputs.dtype == "float16"
    np.testing.assert_allclose(outputs.mean(0), 0, atol=2e-3)
    np.testing.assert_allclose(outputs.std(0), 1, rtol=2e-3)


def test_kernel_of_zeros_stays_finite():
    dense = layers.Dense(2, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((3,)), WeightNormalization(dense)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    for _ in range(2):
        model.train_on_batch(samples(4, 3), samples(4, 2))
    assert all(np.isfinite(w).all() for w in values(model.weights))


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(2),
        layers.EinsumDense("ab,bc->ac", output_shape=2),
        layers.TimeDistributed(layers.Dense(2)),
    ],
)
def test_layers_without_channels_of_their_own_need_the_plain_start(layer):
    with pytest.raises(ValueError, match=r"data_dependent_init.*must be False"):
        WeightNormalization(layer)
    WeightNormalization(layer, data_dependent_init=False)


def test_bad_switch_says_what_was_received():
    with pytest.raises(ValueError, match="data_dependent_init=1"):
        WeightNormalization(layers.Dense(2), data_dependent_init=1)
