import numpy as np
import pytest

from keras_regimen.recipes.harness.datasets.target_kind import recognize
from keras_regimen.recipes.harness.refusal import RefusalError


@pytest.mark.parametrize(
    ("values", "labels", "classes"),
    [
        (["no", "yes", "no", "no"], [0, 1, 0, 0], ("no", "yes")),
        ([2.0, 7.0, 7.0, 2.0], [0, 1, 1, 0], ("2", "7")),
        ([0.5, 1.5, 1.5], [0, 1, 1], ("0.5", "1.5")),
        ([True, False, True], [1, 0, 1], ("0", "1")),
        ([3, 5, 4] * 5, [0, 2, 1] * 5, ("3", "4", "5")),
    ],
)
def test_text_and_few_whole_numbers_are_classes(values, labels, classes):
    target = recognize(np.array(values), "y")
    assert target.y.dtype == np.int32
    assert target.y.tolist() == labels
    assert target.classes == classes


@pytest.mark.parametrize(
    "values",
    [
        [1.0, 2.5, 3.0] * 9,  # Not whole.
        [1, 2, 3] * 4,  # Four rows each.
        list(range(21)) * 9,  # More than 20.
    ],
)
def test_other_numbers_are_real(values):
    target = recognize(np.array(values), "y")
    assert target.classes == ()
    assert target.y.dtype == np.float32
    np.testing.assert_array_equal(target.y[:, 0], np.float32(values))


def test_numbers_are_real_where_the_recipe_predicts_a_real_number():
    ratings = np.array([1, 2, 3] * 9)
    assert str(recognize(ratings, "stars")) == "3 classes"
    assert str(recognize(ratings, "stars", real=True)) == "a real number"


def test_a_target_that_never_changes_is_refused():
    with pytest.raises(RefusalError, match="'y' has the same value.*: 3"):
        recognize(np.array([3, 3, 3]), "y")


def test_a_text_of_its_own_in_each_row_is_no_class():
    names = np.array([f"name {i}" for i in range(1200)])
    with pytest.raises(RefusalError, match="1,200 different texts in 1,200"):
        recognize(names, "name")
