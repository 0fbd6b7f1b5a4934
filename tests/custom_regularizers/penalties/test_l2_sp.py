import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_regularizers import L2SP


def test_reference_of_zeros_is_keras_l2_to_the_bit():
    w = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")
    ours = L2SP(np.zeros((20, 5)), 0.03)(ops.convert_to_tensor(w))
    keras_l2 = keras.regularizers.L2(0.03)(ops.convert_to_tensor(w))
    assert float(ours) == float(keras_l2)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_reference_survives_json_to_the_bit(dtype):
    reference = np.random.default_rng(0).normal(size=(7, 3)).astype(dtype)
    config = json.loads(json.dumps(L2SP(reference).get_config()))
    found = L2SP.from_config(config).reference
    np.testing.assert_array_equal(found, reference)
    assert found.shape == (7, 3)
    assert len(config["reference"]) < 4 / 3 * (found.nbytes + 200)


def test_variable_is_read_once():
    variable = keras.Variable([1.0, 2.0])
    penalty = L2SP(variable, 1.0)
    variable.assign([5.0, 5.0])
    assert ops.convert_to_numpy(penalty(variable)) == 16 + 9


def test_training_ends_between_reference_and_data():
    # The loss is (w - 3)^2, the penalty s (w - 1)^2: w = (3 + s) / (1 + s).
    layer = keras.layers.Dense(
        1, use_bias=False, kernel_regularizer=L2SP([[1.0]], 0.5)
    )
    model = keras.Sequential([keras.Input((1,)), layer])
    model.compile(keras.optimizers.SGD(0.2), "mse")
    x = np.ones((60, 1), "float32")
    model.fit(x, 3 * x, batch_size=1, verbose=0)
    assert ops.convert_to_numpy(layer.kernel)[0, 0] == pytest.approx(
        3.5 / 1.5, rel=1e-5
    )


def test_reference_is_filled_in_only_where_none_is_given():
    w = np.ones((2, 2))
    np.testing.assert_array_equal(L2SP().fitted_to(w, (0,)).reference, w)
    given = L2SP(np.zeros((2, 2)), 0.5)
    assert given.fitted_to(w, (0,)) is given
    assert L2SP(strength=0.5).fitted_to(w, (0,)).strength == 0.5


def test_missing_and_misshapen_references_are_refused():
    with pytest.raises(ValueError, match="reference=None"):
        L2SP()(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"\(3,\).*shape=\(2, 2\)"):
        L2SP(np.ones(3))(np.ones((2, 2)))


@pytest.mark.parametrize("reference", [[np.nan], [np.inf], [[1], [2, 3]]])
def test_bad_reference_says_what_was_received(reference):
    with pytest.raises(ValueError, match=r"Received: reference=\["):
        L2SP(reference)
