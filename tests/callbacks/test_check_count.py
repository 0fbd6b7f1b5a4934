import numpy as np
import pytest

from keras_regimen.callbacks.check_count import check_count


@pytest.mark.parametrize("value", [-1, 1.5, None, "3"])
def test_a_count_is_a_large_enough_integer(value):
    with pytest.raises(ValueError, match=rf"integer, 0 or more.*n={value}"):
        check_count("n", value)
    check_count("n", 0)
    check_count("n", np.int64(2), at_least=2)
    with pytest.raises(ValueError, match="integer, 2 or more.*n=1"):
        check_count("n", 1, at_least=2)
