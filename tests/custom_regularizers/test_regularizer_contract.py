"""What every penalty and constraint keeps, checked for each entry of a table.

A new one is added by one entry: how it is made, and what it is in NumPy.
"""

import dataclasses
import inspect
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_regularizers import (
    L2SP,
    GroupLasso,
    HoyerSquare,
    KLSparsity,
    L1Ball,
    L2Ball,
    Orthogonal,
    Simplex,
    SoftWeightSharing,
)

BACKEND = keras.config.backend()
WEIGHTS = np.random.default_rng(0).normal(0, 0.4, (4, 3))
REFERENCE = np.random.default_rng(1).normal(0, 0.4, (4, 3))


@dataclasses.dataclass(frozen=True)
class Case:
    """A penalty by its strength, and the same at strength 1 in NumPy."""

    make: Callable[[float], keras.Regularizer]
    measure: Callable[[np.ndarray], float]
    argument: str = "kernel_regularizer"


def mixture(w):
    means, stddev = np.array([-0.25, 0, 0.25]), np.hypot(0.125, 1e-3)
    z = (w.reshape(-1, 1) - means) / stddev
    density = np.exp(-(z**2) / 2) / (stddev * np.sqrt(2 * np.pi))
    return -np.log(density.mean(1)).sum()


def divergence(x):
    mean = x.mean(0)
    kl = 0.1 * np.log(0.1 / mean) + 0.9 * np.log(0.9 / (1 - mean))
    return len(x) * kl.sum()


PENALTIES = {
    "GroupLasso": Case(
        lambda s: GroupLasso(s),
        lambda w: 2 * np.linalg.norm(w, axis=0).sum(),
    ),
    "GroupLasso-axis": Case(
        lambda s: GroupLasso(s, axis=1),
        lambda w: np.sqrt(3) * np.linalg.norm(w, axis=1).sum(),
    ),
    "HoyerSquare": Case(
        lambda s: HoyerSquare(s),
        lambda w: np.abs(w).sum() ** 2 / (w**2).sum(),
    ),
    "KLSparsity": Case(
        lambda s: KLSparsity(0.1, s), divergence, "activity_regularizer"
    ),
    "L2SP": Case(
        lambda s: L2SP(REFERENCE, s), lambda w: ((w - REFERENCE) ** 2).sum()
    ),
    "Orthogonal": Case(
        lambda s: Orthogonal(s),
        lambda w: ((np.linalg.svd(w)[1] ** 2 - 1) ** 2).sum(),
    ),
    "SoftWeightSharing": Case(
        lambda s: SoftWeightSharing(3, s, initial_range=0.25, name="mixture"),
        mixture,
    ),
}
ON_WEIGHTS = {
    name: case
    for name, case in PENALTIES.items()
    if case.argument == "kernel_regularizer"
}
CONSTRAINTS = {
    "L1Ball": lambda: L1Ball(0.5),
    "L2Ball": lambda: L2Ball(0.5, axis=0),
    "Simplex": lambda: Simplex(0.5),
}
each = pytest.mark.parametrize("case", PENALTIES.values(), ids=PENALTIES)
each_constraint = pytest.mark.parametrize(
    "make", CONSTRAINTS.values(), ids=CONSTRAINTS
)
jit = pytest.mark.parametrize(
    "jit",
    [
        False,
        pytest.param(
            True,
            marks=pytest.mark.skipif(
                BACKEND == "torch", reason="torch.compile takes 20 s a model"
            ),
        ),
    ],
)


def number(x):
    return float(ops.convert_to_numpy(x))


def shares(case):
    """Returns values that the penalty is meant for."""
    if case.argument == "kernel_regularizer":
        return WEIGHTS
    return 1 / (1 + np.exp(-WEIGHTS))


def branches(arguments, **compile_options):
    """Returns a model with a dense layer for each entry, of equal kernels."""
    inputs = keras.Input((4,))
    outputs = []
    for name, options in arguments.items():
        layer = keras.layers.Dense(3, name=name, **options)
        outputs.append(layer(inputs))
        layer.kernel.assign(WEIGHTS)
    model = keras.Model(inputs, keras.layers.Concatenate()(outputs))
    model.compile(keras.optimizers.SGD(0.1), "mse", **compile_options)
    return model


def train(model, x, epochs=1):
    y = np.zeros((len(x), model.output_shape[-1]), "float32")
    model.fit(x, y, batch_size=len(x), epochs=epochs, verbose=0)


def kernel(model, name):
    return ops.convert_to_numpy(model.get_layer(name).kernel)


@each
def test_value_and_gradient_are_those_of_numpy(
    case, wide, gradient, central_differences
):
    penalty, x = case.make(0.3), shares(case)
    value = penalty(ops.convert_to_tensor(x.astype(wide)))
    # The mixture is in float32 always, Keras' `matmul` is on PyTorch.
    narrow = (SoftWeightSharing,)
    if BACKEND == "torch":
        narrow += (Orthogonal,)
    exact = wide == "float64" and not isinstance(penalty, narrow)
    tolerance = 1e-10 if exact else 1e-5
    assert number(value) == pytest.approx(0.3 * case.measure(x), rel=tolerance)
    found = gradient(penalty, x)
    expected = central_differences(lambda w: 0.3 * case.measure(w), x)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        found, expected, rtol=0, atol=(1e-8 if exact else 2e-5) * scale
    )


@each
def test_config_round_trip_as_keras_layers_do_it(case):
    penalty = case.make(0.3)
    arguments = inspect.signature(type(penalty).__init__).parameters.keys()
    assert arguments - {"self", "kwargs"} <= penalty.get_config().keys()
    config = keras.regularizers.serialize(penalty)
    twin = keras.regularizers.get(config)
    assert type(twin) is type(penalty)
    assert twin.get_config() == penalty.get_config()
    x = ops.convert_to_tensor(shares(case), dtype="float32")
    assert number(twin(x)) == number(penalty(x))


@each
@pytest.mark.parametrize("strength", [-0.1, np.nan, np.inf, "0.1"])
def test_bad_strength_says_what_was_received(case, strength):
    with pytest.raises(ValueError, match=f"strength={strength}"):
        case.make(strength)


@jit
def test_compiled_fit_takes_the_step_of_numpy(jit, central_differences):
    options = {n: {c.argument: c.make(0.1)} for n, c in ON_WEIGHTS.items()}
    model = branches(options, jit_compile=jit)
    # Inputs and targets of 0: only penalties have a gradient.
    train(model, np.zeros((2, 4), "float32"))
    for name, case in ON_WEIGHTS.items():
        slope = central_differences(
            lambda w, c=case: 0.1 * c.measure(w), WEIGHTS
        )
        assert np.abs(slope).max() > 1e-3
        np.testing.assert_allclose(
            kernel(model, name),
            WEIGHTS - 0.1 * slope,
            rtol=1e-5,
            atol=1e-6,
            err_msg=name,
        )


def test_strength_zero_trains_as_no_penalty_to_the_bit():
    options = {n: {c.argument: c.make(0)} for n, c in ON_WEIGHTS.items()}
    model = branches({"none": {}, **options})
    train(model, np.random.default_rng(2).normal(size=(5, 4)), epochs=3)
    assert not np.allclose(kernel(model, "none"), WEIGHTS, atol=1e-3)
    for name in options:
        np.testing.assert_array_equal(
            kernel(model, name), kernel(model, "none"), err_msg=name
        )


def test_saved_model_loads_safely_with_the_same_losses(tmp_path):
    options = {
        **{n: {c.argument: c.make(0.1)} for n, c in ON_WEIGHTS.items()},
        **{n: {"kernel_constraint": m()} for n, m in CONSTRAINTS.items()},
    }
    model = branches(options)
    train(model, np.ones((2, 4), "float32"))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert len(model.losses) == len(ON_WEIGHTS)
    np.testing.assert_array_equal(
        [number(loss) for loss in loaded.losses],
        [number(loss) for loss in model.losses],
    )
    for name, case in ON_WEIGHTS.items():
        twin = loaded.get_layer(name).kernel.regularizer
        assert type(twin) is type(case.make(0.1))
    for name, make in CONSTRAINTS.items():
        twin = loaded.get_layer(name).kernel.constraint
        assert twin.get_config() == make().get_config()


@each
def test_mixed_precision_leaves_the_penalty_in_float32(case):
    x = shares(case).astype("float32")
    exact = number(case.make(0.3)(ops.convert_to_tensor(x)))
    keras.config.set_dtype_policy("mixed_bfloat16")
    penalty = case.make(0.3)
    half = penalty(ops.convert_to_tensor(x, dtype="bfloat16"))
    assert keras.backend.standardize_dtype(half.dtype) == "float32"
    assert number(half) == pytest.approx(exact, rel=0.1)
    if case.argument == "kernel_regularizer":
        layer = keras.layers.Dense(3, kernel_regularizer=penalty)
        layer(np.ones((1, 4)))
        layer.kernel.assign(x)
        assert number(layer.losses[0]) == pytest.approx(exact, rel=1e-6)


def test_mixed_precision_model_trains():
    keras.config.set_dtype_policy("mixed_bfloat16")
    options = {n: {c.argument: c.make(0.1)} for n, c in ON_WEIGHTS.items()}
    options |= {n: {"kernel_constraint": m()} for n, m in CONSTRAINTS.items()}
    model = branches(options)
    train(model, np.ones((2, 4), "float32"))
    for name in options:
        assert np.isfinite(kernel(model, name)).all()
        assert not np.array_equal(kernel(model, name), WEIGHTS)


@each_constraint
def test_constraint_config_round_trip(make):
    constraint = make()
    arguments = inspect.signature(type(constraint).__init__).parameters.keys()
    assert arguments - {"self"} == constraint.get_config().keys()
    twin = keras.constraints.get(keras.constraints.serialize(constraint))
    assert type(twin) is type(constraint)
    assert twin.get_config() == constraint.get_config()


@jit
def test_constraint_holds_after_a_compiled_step(jit):
    options = {n: {"kernel_constraint": m()} for n, m in CONSTRAINTS.items()}
    model = branches(options, jit_compile=jit)
    # The step itself changes nothing: what moves is the projection.
    train(model, np.zeros((2, 4), "float32"))
    for name, make in CONSTRAINTS.items():
        expected = ops.convert_to_numpy(make()(WEIGHTS.astype("float32")))
        np.testing.assert_allclose(
            kernel(model, name), expected, rtol=1e-6, atol=1e-7, err_msg=name
        )
        assert not np.allclose(expected, WEIGHTS, atol=1e-2)


@each_constraint
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_constraint_keeps_the_dtype_and_feasible_weights(make, dtype):
    weights = ops.convert_to_tensor(WEIGHTS, dtype=dtype)
    projected = make()(weights)
    assert projected.dtype == weights.dtype
    # A quarter each of 0.5: on the simplex, inside of both balls.
    feasible = ops.full((4, 3), 0.125, dtype=dtype)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(ops.cast(make()(feasible), "float32")), 0.125
    )


@each_constraint
@pytest.mark.parametrize("size", [0, -1, np.nan, np.inf, "1"])
def test_bad_size_says_what_was_received(make, size):
    with pytest.raises(ValueError, match=f"(radius|total)={size}"):
        type(make())(size)
