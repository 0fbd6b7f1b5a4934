import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import (
    hessian_eigenvalues,
    hessian_vector_product,
)


def quadratic(eigenvalues, seed=0):
    """A loss of one variable with a Hessian of these eigenvalues."""
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))
    matrix = (rotation * np.array(eigenvalues)) @ rotation.T
    w = keras.Variable(rng.normal(size=len(eigenvalues)).astype("float32"))
    matrix = ops.array(matrix.astype("float32"))
    return (lambda: ops.sum(w * ops.matmul(matrix, w)) / 2), [w]


def test_all_eigenvalues_come_in_order_repeated_ones_too():
    eigenvalues = [5.0, 2.0, 2.0, 0.0, -1.0]
    found = hessian_eigenvalues(*quadratic(eigenvalues), which="all")
    np.testing.assert_allclose(found.values, eigenvalues, atol=1e-5)
    gram = found.vectors @ found.vectors.T
    np.testing.assert_allclose(gram, np.eye(5), atol=1e-5)


@pytest.mark.parametrize(
    ("which", "expected"),
    [("largest", [100.0, 99.0]), ("smallest", [-40.0, 1.0])],
)
def test_ends_of_a_large_spectrum_converge(which, expected):
    eigenvalues = [*np.linspace(1, 99, 198), 100.0, -40.0]
    loss, variables = quadratic(eigenvalues)
    found = hessian_eigenvalues(loss, variables, count=2, which=which)
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)
    assert (found.residuals < 1e-2).all()


@pytest.fixture(scope="module")
def net():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(5, "tanh"),
            keras.layers.Dense(2),
        ]
    )
    x = rng.normal(size=(10, 3)).astype("float32")
    y = ops.convert_to_tensor(rng.normal(size=(10, 2)), "float32")
    weights = model.trainable_variables

    def loss():
        return ops.mean((model(x) - y) ** 2)

    columns = []
    for number, weight in enumerate(weights):
        for place in np.ndindex(*weight.shape):
            unit = [np.zeros(w.shape) for w in weights]
            unit[number][place] = 1
            product = hessian_vector_product(loss, weights, unit)
            columns.append(
                np.concatenate(
                    [ops.convert_to_numpy(p).ravel() for p in product]
                )
            )
    return loss, weights, np.stack(columns)


@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_a_net_gives_the_dense_solvers_eigenvalues(net, which):
    loss, weights, hessian = net
    expected = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    expected = expected[::-1][:3] if which == "largest" else expected[:3]
    found = hessian_eigenvalues(loss, weights, count=3, which=which)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    # And the vectors are those of the dense matrix, too.
    np.testing.assert_allclose(
        hessian @ found.vectors.T,
        found.vectors.T * found.values,
        atol=1e-4,
    )


def test_too_few_products_are_a_warning():
    loss, variables = quadratic(np.linspace(0.9, 1, 100))
    with pytest.warns(UserWarning, match="after 5 products.*max_products"):
        found = hessian_eigenvalues(loss, variables, max_products=5)
    assert found.values[0] < 1


def test_a_linear_loss_has_no_curvature():
    w = keras.Variable([1.0, 2.0])
    found = hessian_eigenvalues(lambda: ops.sum(w), [w], which="all")
    np.testing.assert_array_equal(found.values, [0, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"which": "middle"}, "`which`.*which='middle'"),
        ({"count": 3}, "`count`.*2.*count=3"),
        ({"count": 0}, "`count`.*count=0"),
        ({"tolerance": 0.0}, "`tolerance`.*tolerance=0.0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    w = keras.Variable([1.0, 2.0])
    with pytest.raises(ValueError, match=message):
        hessian_eigenvalues(lambda: ops.sum(w * w), [w], **arguments)
