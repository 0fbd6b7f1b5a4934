import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_regularizers import GroupLasso


def test_filters_of_a_convolution_are_groups():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 5))
    groups = kernel.reshape(18, 5)
    expected = np.sqrt(18) * np.linalg.norm(groups, axis=0).sum()
    assert float(GroupLasso(1.0)(kernel)) == pytest.approx(expected, rel=1e-6)


def test_zero_group_has_no_gradient(gradient):
    w = np.array([[3.0, 0.0], [4.0, 0.0]])
    found = gradient(GroupLasso(1.0), w)
    expected = np.sqrt(2) * np.array([[0.6, 0], [0.8, 0]])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_tiny_groups_keep_their_direction(gradient):
    w = np.array([[3e-15], [4e-15]])
    expected = np.sqrt(2) * np.array([[0.6], [0.8]])
    np.testing.assert_allclose(
        gradient(GroupLasso(1.0), w), expected, rtol=1e-5
    )


@pytest.mark.parametrize("strength", [0.0, 0.01])
def test_useless_unit_shrinks_whole(strength):
    # With orthogonal inputs each group is shrunk by itself: to about zero if
    # it is below the threshold, and by the same length if it is above.
    inputs = 2.0 * np.eye(4, dtype="float32")
    target = np.array([[3.0, 0.03], [4.0, -0.04], [0, 0], [0, 0]])
    layer = keras.layers.Dense(
        2,
        use_bias=False,
        kernel_initializer="ones",
        kernel_regularizer=GroupLasso(strength),
    )
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile(keras.optimizers.SGD(0.2), "mse")
    x = np.tile(inputs, (150, 1))
    y = (x @ target).astype("float32")
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    norms = np.linalg.norm(ops.convert_to_numpy(layer.kernel), axis=0)
    # The loss is half the squared distance, so the threshold is the factor.
    expected = np.maximum(np.array([5, 0.05]) - 2 * strength, 0)
    np.testing.assert_allclose(norms, expected, atol=2e-3)


def test_axes_are_filled_in_only_where_none_are_named():
    assert GroupLasso(0.1).fitted_to(None, (0, 1)).axis == (0, 1)
    assert GroupLasso(0.1, axis=1).fitted_to(None, (0,)).axis == (1,)
    assert GroupLasso(0.1).fitted_to(None, (0,)).strength == 0.1


def test_bad_axis_says_what_was_received():
    with pytest.raises(ValueError, match="axis='in'"):
        GroupLasso(0.1, axis="in")
