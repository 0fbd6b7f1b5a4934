"""What every optimizer keeps, checked for each entry of one table.

A new optimizer is added by one line in `OPTIMIZERS`.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import (
    LARS,
    AdaBelief,
    AdaptiveGradientClipping,
    GradientCentralization,
    GradientNoise,
    Lookahead,
    OptimizerWrapper,
    PolyakAveraging,
    ProximalL1,
    RectifiedAdam,
    ScheduleFreeAdamW,
    ScheduleFreeSGD,
    StepDecay,
    Yogi,
)

BACKEND = keras.config.backend()


@dataclasses.dataclass(frozen=True)
class Case:
    """An optimizer with a rate, and what it refuses or does not do."""

    make: Callable[..., keras.optimizers.Optimizer]
    rate: float = 0.125
    valley: float | None = 0.05  # In Rosenbrock's, where a mean lies aside.
    refuses: tuple[str, ...] = ()  # Of Keras' own arguments.
    minimizes: bool = True  # Any function of one weight matrix.


def around(wrapper, **options):
    """Returns what makes a wrapper around SGD."""

    def make(rate, **inner):
        return wrapper(
            keras.optimizers.SGD(rate, momentum=0.5, **inner), **options
        )

    return make


CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")
ACCUMULATION = ("gradient_accumulation_steps",)
OPTIMIZERS = {
    "AdaBelief": Case(AdaBelief),
    "AdaptiveGradientClipping": Case(
        around(AdaptiveGradientClipping, clip_factor=2.0),
        valley=1e-2,
        refuses=ACCUMULATION,
    ),
    "GradientCentralization": Case(
        around(GradientCentralization), minimizes=False
    ),
    "GradientNoise": Case(
        around(GradientNoise, variance=1e-6, seed=1),
        valley=2e-3,
        refuses=CLIPPING,
    ),
    "LARS": Case(
        lambda rate, **k: LARS(rate, 0.5, trust_coefficient=0.1, **k), 0.5, 0.1
    ),
    "Lookahead": Case(around(Lookahead, sync_period=2), valley=2e-3),
    "OptimizerWrapper": Case(around(OptimizerWrapper), valley=2e-3),
    "PolyakAveraging": Case(
        around(PolyakAveraging, start_step=2),
        valley=None,
        refuses=("use_ema",),
    ),
    "ProximalL1": Case(around(ProximalL1, strength=1e-3), valley=2e-3),
    "RectifiedAdam": Case(RectifiedAdam, valley=5e-3),
    "ScheduleFreeAdamW": Case(ScheduleFreeAdamW, refuses=("use_ema",)),
    "ScheduleFreeSGD": Case(ScheduleFreeSGD, 0.5, 3e-3, refuses=("use_ema",)),
    "Wrappers-in-wrappers": Case(
        lambda rate, **inner: PolyakAveraging(
            GradientNoise(
                Lookahead(RectifiedAdam(rate, **inner), 2),
                variance=1e-6,
                seed=1,
            )
        ),
        valley=None,
        refuses=("use_ema", *CLIPPING),
    ),
    "Yogi": Case(Yogi),
}
# Where each new array is a compilation, or all is eager.
slow_elsewhere = pytest.mark.slow if BACKEND != "tensorflow" else lambda f: f
each = pytest.mark.parametrize(
    "case", OPTIMIZERS.values(), ids=OPTIMIZERS.keys()
)


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    weight, gradients = rng.normal(size=(3, 2)), rng.normal(size=(6, 3, 2))
    return weight.astype("float32"), gradients.astype("float32")


def path(optimizer, weight, gradients, name="kernel", each_step=None):
    """Returns the weight after each step."""
    variable = keras.Variable(weight, dtype="float32", name=name)
    found = []
    for step, gradient in enumerate(gradients):
        if each_step:
            each_step(step)
        gradient = ops.convert_to_tensor(gradient, "float32")
        optimizer.apply([gradient], [variable])
        found.append(ops.convert_to_numpy(variable).copy())
    return np.stack(found)


def skip_if_refused(case, *arguments):
    if set(arguments) & set(case.refuses):
        pytest.skip("refused with a sentence, as its own test shows")


class Point(keras.layers.Layer):
    """A weight matrix as a model's output."""

    def build(self, _):
        start = keras.initializers.Constant([[-1.0], [1.0]])
        self.point = self.add_weight((2, 1), start, name="point")

    def call(self, inputs):
        return ops.reshape(self.point, (1, 2)) + 0 * inputs


def parabola(_, point):
    return point[:, 0] ** 2 + 2 * point[:, 1] ** 2


def rosenbrock(_, point):
    x, y = point[:, 0], point[:, 1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "bound"),
    [(parabola, 1e-2), (rosenbrock, 1.0)],
    ids=["parabola", "rosenbrock"],
)
@each
def test_minimizes(case, objective, bound):
    if not case.minimizes:
        pytest.skip("keeps the sum of the weights")
    rate = case.valley if objective is rosenbrock else case.rate
    if rate is None:
        pytest.skip("the mean of a curved path lies beside it")
    model = keras.Sequential([keras.Input((2,)), Point()])
    model.compile(case.make(rate), objective)
    x = np.zeros((1000, 2))
    model.fit(x, x, batch_size=1, verbose=0)
    # From 3 and from 4.
    assert model.evaluate(x[:1], x[:1], verbose=0) < bound


def net(optimizer, policy=None, seed=1, **options):
    """Returns a small classifier and its data: is a point in the ring?"""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(72, 2)).astype("float32")
    y = (np.hypot(*x.T) > 1).astype("float32")[:, None]
    glorot = keras.initializers.GlorotUniform
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(
                16, "tanh", kernel_initializer=glorot(seed), dtype=policy
            ),
            keras.layers.Dense(
                1, kernel_initializer=glorot(seed + 1), dtype=policy
            ),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer, loss, **options)
    return model, x, y


def fit(model, x, y, epochs=2):
    """Trains in order, on batches of one size, for which JAX compiles once."""
    return model.fit(
        x, y, batch_size=24, epochs=epochs, shuffle=False, verbose=0
    )


def state(model):
    variables = [*model.variables, *model.optimizer.variables]
    return [ops.convert_to_numpy(v) for v in variables]


@functools.cache
def plain_fit(case):
    """Returns the weights before, and after, and the whole state after it."""
    model, x, y = net(case.make(case.rate), jit_compile=BACKEND == "jax")
    before = model.get_weights()
    fit(model, x, y)
    return before, model.get_weights(), state(model)


@each
def test_trains_a_net_without_compiling_again(case):
    traces = []

    def loss(y, logits):
        traces.append(1)
        return ops.mean(keras.losses.binary_crossentropy(y, logits, True))

    model, x, y = net(case.make(case.rate))
    model.compile(model.optimizer, loss)
    first = fit(model, x, y, 1).history["loss"][0]
    count = len(traces)
    # More calls, too: the average may have been written in between.
    fit(model, np.tile(x, (79, 1)), np.tile(y, (79, 1)), 1)
    last = fit(model, x, y, 1).history["loss"][0]
    if BACKEND != "torch":  # It compiles nothing.
        assert len(traces) == count
    assert last < 0.9 * first


@each
def test_compiled_fit_equals_eager_fit(case):
    eager, x, y = net(case.make(case.rate), run_eagerly=True)
    fit(eager, x, y)
    *_, compiled = plain_fit(case)
    for one, other in zip(compiled, state(eager), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX always, torch never")
@each
def test_xla_fit_equals_graph_fit(case):
    xla, x, y = net(case.make(case.rate), jit_compile=True)
    fit(xla, x, y)
    _, graph, _ = plain_fit(case)
    noisy = "GradientNoise" in inspect.getsource(case.make) or (
        "seed" in str(xla.optimizer.get_config())
    )
    # TensorFlow's XLA draws other numbers from the same seeds.
    tolerance = 1e-2 if noisy else 1e-5
    for one, other in zip(graph, xla.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=tolerance)


@each
def test_saved_in_the_middle_goes_on_to_the_bit(case, tmp_path):
    model, x, y = net(case.make(case.rate))
    fit(model, x, y)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    for each_model in (model, loaded):
        fit(each_model, x, y)
    for one, other in zip(state(model), state(loaded), strict=True):
        np.testing.assert_array_equal(one, other)


@each
def test_config_holds_every_argument(case):
    optimizer = case.make(case.rate)
    config = optimizer.get_config()
    parameters = inspect.signature(type(optimizer).__init__).parameters
    assert set(parameters) - {"self", "kwargs"} <= config.keys()
    clone = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(optimizer)
    )
    assert type(clone) is type(optimizer)
    assert clone.get_config() == config


@slow_elsewhere
@each
def test_bfloat16_weights_come_as_close_as_they_can(case):
    """The slots are float32, or steps would stop where they get small."""

    def parabola(dtype):
        optimizer = case.make(case.rate)
        variable = keras.Variable([[1.0, -2.0]], dtype=dtype, name="embedding")
        for _ in range(60):
            optimizer.apply([ops.convert_to_tensor(variable) + 0], [variable])
        value = ops.cast(ops.convert_to_tensor(variable), "float32")
        return optimizer, np.abs(ops.convert_to_numpy(value)).max()

    optimizer, half = parabola("bfloat16")
    _, full = parabola("float32")
    assert half < max(2 * full, 0.1)
    dtypes = [v.dtype for v in optimizer.variables if v.shape == (1, 2)]
    if not isinstance(optimizer, OptimizerWrapper):
        assert set(dtypes) == {"float32"}


@slow_elsewhere
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@each
def test_mixed_precision_trains_as_float32_does(case, policy):
    before, plain, _ = plain_fit(case)
    keras.config.set_dtype_policy(policy)  # `compile` looks at this one.
    mixed, x, y = net(case.make(case.rate), policy)
    if policy == "mixed_float16":
        optimizer = mixed.optimizer
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    fit(mixed, x, y)
    for old, new, half in zip(before, plain, mixed.get_weights(), strict=True):
        # Rates are large here, and so is what rounding makes of a sign.
        distance = np.linalg.norm(half - new)
        assert distance < 0.2 * np.linalg.norm(new - old) + 0.02


@each
def test_works_within_a_multi_optimizer(case):
    inner = case.make(case.rate)
    chosen = keras.optimizers.OptimizerMap(
        keras.optimizers.SGD(0.1), {".*first.*": inner}
    )
    optimizer = keras.optimizers.MultiOptimizer(chosen)
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(4, 2, 3, 2)).astype("float32")
    variables = [
        keras.Variable(np.ones((3, 2)), name=name)
        for name in ("first_kernel", "second_kernel")
    ]
    for pair in gradients:
        optimizer.apply([ops.convert_to_tensor(g) for g in pair], variables)
    optimizer.finalize_variable_values(variables)
    alone = case.make(case.rate)
    variable = keras.Variable(np.ones((3, 2)), name="first_kernel")
    for gradient in gradients[:, 0]:
        alone.apply([ops.convert_to_tensor(gradient)], [variable])
    alone.finalize_variable_values([variable])
    np.testing.assert_array_equal(
        *map(ops.convert_to_numpy, (variables[0], variable))
    )
    np.testing.assert_allclose(
        ops.convert_to_numpy(variables[1]),
        1 - 0.1 * gradients[:, 1].sum(0),
        rtol=1e-5,
    )


@slow_elsewhere
@each
def test_rows_of_an_embedding_count_as_the_gradient_they_add_up_to(case):
    tokens = np.array([[0, 2, 2, 2], [2, 0, 1, 0]])

    def train(layer, x):
        model = keras.Sequential([keras.Input(x.shape[1:]), layer])
        model.compile(case.make(case.rate), "mse")
        y = np.random.default_rng(0).normal(size=(2, 4, 3))
        model.fit(x, y, epochs=4, verbose=0)
        return ops.convert_to_numpy(model.weights[0])

    options = {"name": "embedding"}
    rows = keras.layers.Embedding(5, 3, "ones", **options)
    matrix = keras.layers.EinsumDense(
        "btv,vd->btd", (None, 3), kernel_initializer="ones", **options
    )
    dense = train(matrix, np.eye(5, dtype="float32")[tokens])
    if isinstance(case.make(1.0), GradientCentralization):
        # Which leaves embeddings alone, and knows them by name.
        dense = path_of_sgd(tokens, case)
    np.testing.assert_allclose(train(rows, tokens), dense, rtol=1e-5)


def path_of_sgd(tokens, case):
    matrix = np.ones((5, 3))
    momentum = np.zeros_like(matrix)
    y = np.random.default_rng(0).normal(size=(2, 4, 3))
    for _ in range(4):
        gradient = np.zeros_like(matrix)
        np.add.at(gradient, tokens, 2 * (matrix[tokens] - y) / y.size)
        momentum = 0.5 * momentum - case.rate * gradient
        matrix += momentum
    return matrix


@each
def test_scaled_gradients_of_a_scaled_loss_change_nothing(case, task):
    weight, gradients = task
    scaled = case.make(case.rate, loss_scale_factor=1024.0)
    assert float(scaled.scale_loss(ops.convert_to_tensor(2.0))) == 2048
    plain = path(case.make(case.rate), weight, gradients)
    found = path(scaled, weight, 1024 * gradients)
    np.testing.assert_allclose(found, plain, rtol=1e-6, atol=1e-7)
    assert scaled.get_config() != case.make(case.rate).get_config()


@each
def test_accumulates_gradients(case, task):
    skip_if_refused(case, "gradient_accumulation_steps")
    weight, gradients = task
    plain = path(case.make(case.rate), weight, gradients[:3])
    steps = {"gradient_accumulation_steps": 2}
    # Two that differ, and whose mean is the one.
    pairs = np.repeat(gradients[:3], 2, 0)
    pairs += np.tile([[[0.5]], [[-0.5]]], (3, 1, 1)).astype("float32")
    found = path(case.make(case.rate, **steps), weight, pairs)
    noisy = "seed" in str(case.make(1.0).get_config())
    tolerance = 1e-2 if noisy else 1e-5
    np.testing.assert_array_equal(found[0], weight)
    np.testing.assert_array_equal(found[2], found[1])
    np.testing.assert_allclose(found[1::2], plain, rtol=0, atol=tolerance)


@pytest.mark.parametrize("argument", CLIPPING)
@each
def test_clips_gradients(case, task, argument):
    skip_if_refused(case, argument)
    weight, gradients = task
    if argument == "clipvalue":
        clipped = np.clip(gradients, -0.5, 0.5)
    else:
        norms = np.linalg.norm(gradients, axis=(1, 2), keepdims=True)
        clipped = gradients * np.minimum(1, 0.5 / norms)
    if isinstance(case.make(1.0), AdaptiveGradientClipping):
        gradients, clipped = gradients / 1e4, gradients / 1e4  # Clips first.
    # A name by which `GradientCentralization`, which comes first, spares it.
    clipping, plain = (
        case.make(case.rate, **{argument: 0.5}),
        case.make(case.rate),
    )
    found = path(clipping, weight, gradients, name="embedding")
    expected = path(plain, weight, clipped, name="embedding")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@each
def test_moving_average_is_written_at_the_end(case, task):
    skip_if_refused(case, "use_ema")
    weight, gradients = task
    optimizer = case.make(case.rate, use_ema=True, ema_momentum=0.75)
    variable = keras.Variable(weight, name="kernel")
    mean = None
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [variable])
        value = ops.convert_to_numpy(variable)
        mean = value.copy() if mean is None else 0.75 * mean + 0.25 * value
    optimizer.finalize_variable_values([variable])
    found = ops.convert_to_numpy(variable)
    # These move weights after the average took its share of them.
    if isinstance(optimizer, Lookahead | ProximalL1):
        plain = path(case.make(case.rate), weight, gradients)
        assert plain.min() <= found.min()
        assert found.max() <= plain.max()
    else:
        np.testing.assert_allclose(found, mean, rtol=1e-5, atol=1e-6)


@each
def test_schedule_equals_rates_set_by_hand(case, task):
    weight, gradients = task
    schedule = StepDecay(case.rate, steps=2, factor=0.5)
    scheduled = path(case.make(schedule), weight, gradients)
    optimizer = case.make(case.rate)

    def set_rate(step):
        optimizer.learning_rate = case.rate * 0.5 ** (step // 2)

    found = path(optimizer, weight, gradients, each_step=set_rate)
    np.testing.assert_allclose(found, scheduled, rtol=1e-6, atol=1e-7)
    assert float(optimizer.learning_rate) == case.rate / 4
    assert int(optimizer.iterations) == len(gradients)


@each
def test_weight_without_gradient_stays(case):
    optimizer = case.make(case.rate)
    used, unused = (keras.Variable(np.ones((2, 2)), name=n) for n in "ab")
    for _ in range(3):
        with pytest.warns(UserWarning, match="Gradients do not exist"):
            optimizer.apply([ops.ones((2, 2)), None], [used, unused])
    np.testing.assert_array_equal(ops.convert_to_numpy(unused), 1)


@each
def test_unfrozen_layer_asks_for_a_new_optimizer(case):
    model, x, y = net(case.make(case.rate))
    model.layers[0].trainable = False
    model.compile(model.optimizer, "mse")
    fit(model, x, y, 1)
    model.layers[0].trainable = True
    model.compile(model.optimizer, "mse")
    with pytest.raises(ValueError, match=r"[Uu]nknown variable|built with"):
        fit(model, x, y, 1)


@each
def test_another_model_asks_for_a_new_optimizer(case):
    optimizer = case.make(case.rate)
    path(optimizer, np.ones((2, 2)), np.ones((1, 2, 2)))
    with pytest.raises(ValueError, match="Unknown variable"):
        path(optimizer, np.ones((2, 2)), np.ones((1, 2, 2)))
