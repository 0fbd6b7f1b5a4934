import keras
import numpy as np
import pytest
from keras import ops

from keras_regimen.custom_optimizers import Lookahead, PolyakAveraging
from keras_regimen.custom_optimizers.averaged_weights import AveragedWeights


def test_swap_is_no_part_of_the_state():
    """Keras' optimizers track variables that are assigned to them."""
    optimizer = PolyakAveraging("sgd")
    variable = keras.Variable(np.ones((2, 2)))
    optimizer.apply([ops.ones((2, 2))], [variable])
    names = [v.path for v in optimizer.variables]
    optimizer.use_averaged_weights([variable])
    assert [v.path for v in optimizer.variables] == names
    optimizer.use_training_weights()
    optimizer.use_training_weights()  # There is nothing to take back.
    assert [v.path for v in optimizer.variables] == names


def test_swap_within_other_wrappers_is_theirs_to_reach():
    outer = Lookahead(PolyakAveraging("sgd"))
    assert not isinstance(outer, AveragedWeights)
    assert isinstance(outer.inner_optimizer, AveragedWeights)


def test_unknown_variable_keeps_what_it_holds():
    """Keras calls this after an error, which a second one would hide."""
    optimizer = PolyakAveraging("sgd")
    known, unknown = (keras.Variable(np.ones(2)) for _ in range(2))
    optimizer.finalize_variable_values([unknown])  # Nothing is known yet.
    optimizer.apply([ops.ones(2)], [known])
    optimizer.finalize_variable_values([known, unknown])
    np.testing.assert_array_equal(ops.convert_to_numpy(unknown), 1)


def test_average_is_for_subclasses_to_say():
    with pytest.raises(NotImplementedError):
        AveragedWeights().write_averages([])
