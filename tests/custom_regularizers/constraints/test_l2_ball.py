import keras
import numpy as np
import pytest
from keras import ops
from scipy import optimize

from keras_regimen.custom_regularizers import L2Ball


def project(w, *args, dtype="float32", **kwargs):
    w = ops.convert_to_tensor(np.asarray(w, dtype))
    return ops.convert_to_numpy(L2Ball(*args, **kwargs)(w))


def test_nearest_point_is_that_of_a_quadratic_program(wide):
    w = np.random.default_rng(0).normal(size=(5, 4))
    inside = {"type": "ineq", "fun": lambda x: 2.25 - x @ x}
    expected = [
        optimize.minimize(
            lambda x, column=column: ((x - column) ** 2).sum(),
            np.zeros(5),
            method="SLSQP",
            constraints=inside,
            options={"ftol": 1e-15, "maxiter": 200},
        ).x
        for column in w.T
    ]
    found = project(w, 1.5, dtype=wide)
    np.testing.assert_allclose(found.T, expected, rtol=0, atol=1e-6)
    norms = np.linalg.norm(found, axis=0)
    assert 0 < (norms > 1.5 - 1e-6).sum() < 4  # Some inside, some outside.


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 0.1])
def test_feasible_weights_come_back_to_the_bit(scale):
    rng = np.random.default_rng(0)
    w = (scale * rng.normal(size=(50, 8))).astype("float32")
    w[:, 0] = 0
    np.testing.assert_array_equal(project(w, 2.0), w)


def test_keras_max_norm_shrinks_feasible_weights():
    w = np.full((4, 1), 1e-4, "float32")
    shrunk = ops.convert_to_numpy(keras.constraints.MaxNorm(2.0)(w))
    assert (shrunk < w).all()
    np.testing.assert_array_equal(project(w, 2.0), w)


def test_projecting_twice_changes_nothing_more():
    w = np.random.default_rng(0).normal(size=(300, 200))
    once = project(w, 0.7)
    np.testing.assert_array_equal(project(once, 0.7), once)
    np.testing.assert_allclose(np.linalg.norm(once, axis=0), 0.7, rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (keras.layers.Dense, (None, 8), 0),
        (keras.layers.Conv2D, (None, 5, 5, 4), (0, 1, 2)),
        (keras.layers.DepthwiseConv2D, (None, 5, 5, 4), (0, 1)),
        (keras.layers.Conv2DTranspose, (None, 5, 5, 4), (0, 1, 3)),
    ],
)
def test_default_axes_bound_each_unit(layer, shape, axes):
    options = {"kernel_constraint": L2Ball(0.5)}
    args = (3,) if layer is keras.layers.Dense else (3, 3)
    if layer is keras.layers.DepthwiseConv2D:
        args, options = (3,), {"depthwise_constraint": L2Ball(0.5)}
    layer = layer(*args, **options)
    layer.build(shape)
    kernel = layer.kernel
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    found = ops.convert_to_numpy(kernel.constraint(kernel))
    norms = np.sqrt((found**2).sum(axes))
    np.testing.assert_allclose(norms, 0.5, rtol=1e-6)


def test_recurrent_kernels_and_embeddings_are_bounded_by_unit():
    gru = keras.layers.GRU(3, recurrent_constraint=L2Ball(0.5))
    gru.build((None, 4, 2))
    kernel = gru.cell.recurrent_kernel
    found = ops.convert_to_numpy(kernel.constraint(kernel))
    assert np.linalg.norm(found, axis=0).max() < 0.5 + 1e-6
    words = keras.layers.Embedding(6, 3, embeddings_constraint=L2Ball(0.5))
    words.build((None, 4))
    words.embeddings.assign(np.ones((6, 3)))
    found = words.embeddings.constraint(words.embeddings)
    norms = np.linalg.norm(ops.convert_to_numpy(found), axis=1)
    np.testing.assert_allclose(norms, 0.5, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 0.3, 2.0])
def test_gradient_is_that_of_the_projection(
    scale, gradient, central_differences
):
    w = scale * np.array([[0.6, -0.2], [0.8, 0.1]])
    direction = np.array([[1.0, -2.0], [3.0, 0.5]])

    def numpy(w):
        norms = np.maximum(np.linalg.norm(w, axis=0), 1)
        return (direction * w / norms).sum()

    def ours(w):
        return ops.sum(L2Ball(1.0)(w) * ops.cast(direction, w.dtype))

    np.testing.assert_allclose(
        gradient(ours, w), central_differences(numpy, w), rtol=0, atol=1e-6
    )


def test_bad_axis_says_what_was_received():
    with pytest.raises(ValueError, match=r"axis='last'"):
        L2Ball(1.0, axis="last")
    with pytest.raises(ValueError, match=r"axis=\(3,\)"):
        project(np.ones((2, 2)), 1.0, axis=3)
