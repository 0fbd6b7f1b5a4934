import math

import pytest

from keras_regimen.recipes.harness.report.quantity import (
    MINUS,
    MISSING,
    TIMES,
    curve_name,
    quantity,
)


@pytest.mark.parametrize(
    ("label", "noun", "unit"),
    [
        ("final test_error", "test error", "point"),
        ("final loss", "training loss", ""),
        ("final val_rmse", "validation RMSE", ""),
        ("val_loss", "validation loss", ""),
        ("best val_accuracy", "validation accuracy", ""),
        ("test_error at the best val_loss", "test error", "point"),
        ("error gap (test - train)", "gap between test and training error",
         "point"),
        ("evaluations to val_loss ≤ 0.5",
         "number of evaluations to a validation loss of 0.5", "evaluation"),
        ("updates to test_error ≤ 0.125",
         "number of updates to a test error of 12.5 %", "update"),
        ("largest_gap", "largest gap", ""),
    ],
)  # fmt: skip
def test_a_metric_has_a_name_and_a_unit(label, noun, unit):
    told = quantity(label)
    assert (told.noun, told.unit) == (noun, unit)


def test_the_moment_is_told():
    told = quantity("test_error at the best val_loss")
    assert told.when == "at the epoch with the best validation loss"
    assert quantity("final loss").when == "at the end of training"


@pytest.mark.parametrize(
    ("smallest", "value", "told"),
    [
        (0.01, 0.03668, "3.7 points"),  # A tenth of 1 point.
        (0.01, 0.0996, "10 points"),
        (0.01, -0.0101, f"{MINUS}1 point"),
        (0.01, 0.0004, "0 points"),
        (0.01, -0.0004, "0 points"),
        (0.005, -0.001, f"{MINUS}0.10 points"),  # A tenth of 0.5 points.
        (0.03, 0.01206, "1.2 points"),
        (None, 0.03668, "3.67 points"),
    ],
)
def test_differences_are_told_to_a_tenth_of_what_matters(smallest, value, told):
    assert quantity("final test_error", smallest).amount(value) == told


def test_what_matters_is_told_as_it_was_declared():
    assert quantity("final test_error", 0.005).matters == "0.5 points"
    assert quantity("final test_error", 0.01).matters == "1 point"
    assert quantity("updates to loss ≤ 1", 200.0).matters == "200 updates"
    assert quantity("gap", 0.25).matters == "0.25"
    assert quantity("gap").matters == MISSING


def test_counts_and_plain_figures():
    assert quantity("updates to loss ≤ 1", 20).amount(1234.4) == "1,234 updates"
    assert quantity("updates to loss ≤ 1", 20).amount(1.0) == "1 update"
    assert quantity("final test_loss", 0.05).amount(0.1234) == "0.123"
    assert quantity("gap", 1e-9).amount(2e-9) == f"2.00 {TIMES} 10⁻⁹"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0515, "5.1 %"),
        (0.00802, "0.8 %"),
        (0.0, "0.0 %"),
        (0.0001, "0.01 %"),
        (1.0, "100.0 %"),
        (None, MISSING),
        (math.nan, MISSING),
        (math.inf, MISSING),
    ],
)
def test_rates_are_told_as_percentages(value, told):
    assert quantity("final test_error").level(value) == told


def test_powers_of_ten_are_written_out():
    told = quantity("gap")
    assert told.level(1e-12) == "10⁻¹²"
    assert told.level(-1.54e-15) == f"{MINUS}1.54 {TIMES} 10⁻¹⁵"
    assert told.level(2e10) == f"2.00 {TIMES} 10¹⁰"


def test_curves_have_names():
    names = [curve_name(n) for n in ("error", "val_loss", "test_rmse", "loss")]
    assert names == [
        "training error",
        "validation loss",
        "test RMSE",
        "training loss",
    ]
