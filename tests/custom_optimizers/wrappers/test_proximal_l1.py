import keras
import numpy as np
import pytest
from keras import ops
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso

from keras_regimen.custom_optimizers import OptimizerWrapper, ProximalL1

STRENGTH = 3.0


def steps(optimizer, weight, gradients):
    """Returns the weight after each step."""
    variable = keras.Variable(np.array(weight, "float32"))
    path = []
    for gradient in gradients:
        gradient = ops.convert_to_tensor(np.array(gradient, "float32"))
        optimizer.apply([gradient], [variable])
        path.append(ops.convert_to_numpy(variable).copy())
    return np.array(path)


def soft_threshold(weight, limit):
    return np.sign(weight) * np.maximum(np.abs(weight) - limit, 0)


@pytest.fixture(scope="module")
def diabetes():
    x, y = load_diabetes(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    lasso = Lasso(STRENGTH, fit_intercept=False, tol=1e-10, max_iter=10_000)
    return x, y - y.mean(), lasso.fit(x, y - y.mean()).coef_


def minimize(optimizer, x, y, regularizer=None, epochs=400):
    """Fits a linear model on the full batch, and returns its weights."""
    dense = keras.layers.Dense(
        1,
        use_bias=False,
        kernel_initializer="zeros",
        kernel_regularizer=regularizer,
    )
    model = keras.Sequential([keras.Input((x.shape[1],)), dense])
    # scikit-learn halves the squares.
    model.compile(optimizer, lambda t, p: ops.square(t - p) / 2)
    for _ in range(epochs):
        model.train_on_batch(x, y[:, None])
    return ops.convert_to_numpy(dense.kernel)[:, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "inner",
    [
        lambda: keras.optimizers.SGD(0.2),
        lambda: keras.optimizers.SGD(0.05, momentum=0.9),
        lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    ],
    ids=["plain", "momentum", "nesterov"],
)
def test_finds_the_weights_of_the_lasso(diabetes, inner):
    x, y, lasso = diabetes
    assert 0 < np.sum(lasso == 0) < len(lasso)
    weights = minimize(ProximalL1(inner(), STRENGTH), x, y)
    np.testing.assert_array_equal(weights == 0, lasso == 0)
    np.testing.assert_allclose(weights, lasso, atol=2e-3)


@pytest.mark.slow
def test_penalty_in_the_loss_finds_no_zero(diabetes):
    x, y, lasso = diabetes
    adam = keras.optimizers.Adam(0.5)
    weights = minimize(adam, x, y, keras.regularizers.L1(STRENGTH))
    # The same minimum, but for the zeros: weights jump by learning rates.
    np.testing.assert_allclose(weights, lasso, atol=1)
    assert np.sum(weights == 0) == 0


def test_step_is_the_inner_one_and_a_soft_threshold():
    rng = np.random.default_rng(0)
    weight, gradients = rng.normal(size=(3, 4)), rng.normal(size=(20, 3, 4))
    optimizer = ProximalL1(keras.optimizers.SGD(0.1), strength=0.7)
    path = steps(optimizer, weight, gradients)
    for gradient, after in zip(gradients, path, strict=True):
        weight = soft_threshold(weight - 0.1 * gradient, 0.07)
        np.testing.assert_allclose(after, weight, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(after == 0, weight == 0)
    assert 0 < np.mean(path == 0) < 1


def test_threshold_follows_the_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [1], [1.0, 0.5]
    )
    optimizer = ProximalL1(keras.optimizers.SGD(schedule), strength=1.0)
    path = steps(optimizer, [[8.0, -8.0]], np.zeros((4, 1, 2)))
    np.testing.assert_array_equal(path[:, 0, 0], [7, 6, 5.5, 5])
    np.testing.assert_array_equal(path[:, 0, 1], [-7, -6, -5.5, -5])


def test_accumulated_gradients_shrink_once():
    inner = keras.optimizers.SGD(1.0, gradient_accumulation_steps=3)
    path = steps(ProximalL1(inner, 1.0), [[8.0]], np.ones((6, 1, 1)))
    np.testing.assert_array_equal(path[:, 0, 0], [8, 8, 6, 6, 6, 4])


def test_no_strength_is_the_inner_optimizer_to_the_bit():
    rng = np.random.default_rng(0)
    weight, gradients = rng.normal(size=(2, 3)), rng.normal(size=(5, 2, 3))
    path = steps(ProximalL1("adam", 0), weight, gradients)
    plain = steps(keras.optimizers.Adam(), weight, gradients)
    np.testing.assert_array_equal(path, plain)


def test_biases_and_weights_without_gradient_are_left_alone():
    shapes = {"kernel": (2, 2), "bias": (2,), "recurrent_bias": (2, 2)}
    variables = [
        keras.Variable(np.ones(shape), name=name)
        for name, shape in shapes.items()
    ]
    unused = keras.Variable(np.ones((2, 2)))
    zeros = [ops.zeros(v.shape) for v in variables]

    def shrunk(**options):
        optimizer = ProximalL1(keras.optimizers.SGD(0.5), 1.0, **options)
        with pytest.warns(UserWarning, match="Gradients do not exist"):
            optimizer.apply([*zeros, None], [*variables, unused])
        means = [ops.convert_to_numpy(v).mean() for v in variables]
        assert ops.convert_to_numpy(unused).mean() == 1
        return means

    assert shrunk() == [0.5, 1, 1]
    assert shrunk(biases=True) == [0, 0.5, 0.5]


def test_momentum_is_seen_through_other_wrappers():
    inner = keras.optimizers.SGD(0.1, momentum=0.5)
    optimizer = ProximalL1(OptimizerWrapper(inner), 1.0)
    path = steps(optimizer, [[8.0]], np.zeros((1, 1, 1)))
    np.testing.assert_allclose(path[0], 8 - 0.1 / (1 - 0.5))


@pytest.mark.parametrize("strength", [-0.1, float("nan"), "l1", None])
def test_bad_strength_says_what_was_received(strength):
    with pytest.raises(ValueError, match=rf"\[0, inf\).*strength={strength!r}"):
        ProximalL1("sgd", strength)
