import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import hessian_vector_product
from keras_regimen.custom_optimizers.autodiff import FlatVariables, Objective


def to_numpy(x):
    return ops.convert_to_numpy(x)


def test_a_quadratic_gives_its_matrix():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5)).astype("float32")
    matrix = root + root.T
    w = keras.Variable(rng.normal(size=5).astype("float32"))
    columns = [
        to_numpy(
            hessian_vector_product(
                lambda: w @ ops.matmul(matrix, w) / 2, [w], [unit]
            )[0]
        )
        for unit in np.eye(5, dtype="float32")
    ]
    np.testing.assert_allclose(columns, matrix, atol=1e-5)


@pytest.fixture(scope="module")
def net():
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(4, "tanh", kernel_regularizer="l2"),
            # TensorFlow's second derivative of it is wrong.
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=1),
            keras.layers.Dense(2),
        ]
    )
    x = rng.normal(size=(8, 3)).astype("float32")
    y = ops.array(rng.normal(size=(8, 2)).astype("float32"))

    def loss():
        predicted = model(x, training=True)
        return ops.mean((predicted - y) ** 2) + sum(model.losses)

    return model, loss


def test_a_net_gives_the_difference_of_its_gradients(net):
    model, loss = net
    weights = model.trainable_variables
    rng = np.random.default_rng(1)
    vectors = [rng.normal(size=w.shape).astype("float32") for w in weights]
    product = hessian_vector_product(loss, weights, vectors)
    assert [tuple(p.shape) for p in product] == [w.shape for w in weights]
    flat = FlatVariables(weights)
    objective = Objective(flat.function(loss))
    x, vector, step = flat.read(), flat.flatten(vectors), 1e-3
    ahead, behind = (objective(x + s * vector)[1] for s in (step, -step))
    # Central differences, with an error of the order of step squared.
    np.testing.assert_allclose(
        to_numpy(flat.flatten(product)),
        to_numpy((ahead - behind) / (2 * step)),
        atol=3e-3,
    )


def test_the_model_is_left_as_it_was(net):
    model, loss = net
    before = [v.numpy() for v in model.variables]
    vectors = [np.ones(w.shape) for w in model.trainable_variables]
    hessian_vector_product(loss, model.trainable_variables, vectors)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("vectors", [[], [np.ones(3)], [np.ones(2)] * 2])
def test_vectors_that_do_not_match_are_refused(vectors):
    w = keras.Variable([1.0, 2.0])
    with pytest.raises(ValueError, match=r"\[\(2,\)\].*Received"):
        hessian_vector_product(lambda: ops.sum(w), [w], vectors)
