import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_models import KernelMask

MASK = np.random.default_rng(0).random((7, 3, 5)) < 0.3


def test_keeps_what_is_under_the_mask_to_the_bit_and_nothing_else():
    w = np.random.default_rng(1).normal(size=MASK.shape).astype("float32")
    w[~MASK] = np.inf
    kept = ops.convert_to_numpy(KernelMask(MASK)(w))
    np.testing.assert_array_equal(kept[MASK], w[MASK])
    assert np.all(kept[~MASK] == 0)


def test_configuration_is_json_and_gives_the_same_mask():
    mask = KernelMask(MASK, keras.constraints.MaxNorm(2.0))
    config = json.loads(json.dumps(keras.constraints.serialize(mask)))
    again = keras.constraints.deserialize(config)
    np.testing.assert_array_equal(again.numbers(), MASK)
    assert again.constraint.max_value == 2.0
    assert again.get_config() == mask.get_config()


def test_large_sparse_mask_takes_far_less_than_a_bit_per_weight():
    mask = np.zeros((300, 400), bool)
    mask[::10, ::10] = True
    bits = KernelMask(mask).get_config()["mask"]["bits"]
    assert len(bits) < mask.size / 8 / 3


def test_the_constraint_that_was_there_acts_first():
    mask = KernelMask(np.array([[True], [False]]), keras.constraints.NonNeg())
    w = ops.convert_to_numpy(mask(np.array([[-1.0], [2.0]])))
    np.testing.assert_array_equal(w, [[0], [0]])


def test_other_mask_is_obeyed_at_once_where_nothing_is_compiled_in():
    mask = KernelMask(np.array([True, False]))
    mask.mask.assign([False, True])
    kept = ops.convert_to_numpy(mask(np.array([3.0, 4.0])))
    np.testing.assert_array_equal(kept, [0, 4])


def test_mask_must_be_boolean():
    with pytest.raises(ValueError, match="boolean.*float64"):
        KernelMask(np.ones(3))
