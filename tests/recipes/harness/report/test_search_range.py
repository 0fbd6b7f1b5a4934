import keras_tuner
import pytest

from keras_regimen.recipes.harness.report.search_range import Range, range_of


def config_of(declare):
    """A configuration as a search keeps it, made by KerasTuner."""
    hp = keras_tuner.HyperParameters()
    declare(hp)
    (found,) = hp.space
    return {"kind": type(found).__name__, **found.get_config()}


@pytest.mark.parametrize(
    ("declare", "limits"),
    [
        (lambda hp: hp.Float("a", 0.0, 2.0), Range(0.0, 2.0)),
        (
            lambda hp: hp.Float("a", 1e-4, 1.0, sampling="log"),
            Range(1e-4, 1.0, log=True),
        ),
        (lambda hp: hp.Int("a", 1, 9), Range(1, 9)),
        (lambda hp: hp.Int("a", 8, 16, step=8), Range(8, 16, values=(8, 16))),
        (
            lambda hp: hp.Choice("a", [1, 4, 2]),
            Range(1, 2, values=(1, 4, 2)),
        ),
        (lambda hp: hp.Choice("a", [1, 4, 2], ordered=False), None),
        (lambda hp: hp.Choice("a", ["x", "y", "z"]), None),
        (lambda hp: hp.Boolean("a"), None),
        (lambda hp: hp.Fixed("a", 3), None),
        (lambda hp: hp.Int("a", 3, 3), None),
    ],
)
def test_what_has_an_order_has_a_range(declare, limits):
    assert range_of(config_of(declare)) == limits


def test_the_edge_of_a_logarithmic_range_is_a_ratio():
    limits = Range(1e-4, 1.0, log=True)
    # 2 % of four powers of ten is a factor of 1.2.
    assert limits.at_edge(1.19e-4)
    assert not limits.at_edge(1.22e-4)
    assert not Range(1e-4, 1.0).at_edge(0.5)


def test_of_counted_values_the_outer_ones_are_ends_unless_there_are_two():
    limits = Range(1, 64, values=(1, 2, 64))
    assert [limits.at_edge(v) for v in (1, 2, 64)] == [True, False, True]
    two = Range(1, 2, values=(1, 2))
    assert [two.at_edge(v) for v in (1, 2)] == [False, False]


def test_a_best_value_inside_or_without_a_value_is_not_warned_of():
    limits = Range(0.1, 0.9)
    assert limits.warning("rate", None, "new") is None
    assert limits.warning("rate", 0.5, "new") is None
    assert limits.warning("rate", 0.89, "new") == (
        "new: the best rate, 0.89, lies at an end of its range (0.1 to 0.9): "
        "widen it"
    )
