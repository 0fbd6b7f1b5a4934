import math
import re

import pytest

from keras_regimen.recipes.harness import Claim, Exact, final, value

FIELDS = {
    "statement": "It helps.",
    "source": "Somebody, 2020",
    "treatment": "new",
    "baseline": "old",
    "metric": final("test_error"),
    "better": "lower",
    "smallest_effect": 0.01,
}


@pytest.mark.parametrize(("better", "gain"), [("lower", 2.0), ("higher", -2.0)])
def test_gain_is_positive_in_the_claimed_direction(better, gain):
    claim = Claim(**{**FIELDS, "better": better})
    assert claim.gain(treatment=1.0, baseline=3.0) == gain


@pytest.mark.parametrize(
    ("field", "received"),
    [
        ("better", "smaller"),
        ("smallest_effect", 0),
        ("smallest_effect", math.nan),
        ("smallest_effect", -1.0),
        ("metric", "test_error"),
    ],
)
def test_bad_field_is_named_with_what_came(field, received):
    with pytest.raises(ValueError, match=re.escape(f"{field}={received!r}")):
        Claim(**{**FIELDS, field: received})


def test_an_arm_is_not_compared_with_itself():
    with pytest.raises(ValueError, match="both 'old'"):
        Claim(**{**FIELDS, "treatment": "old"})


@pytest.mark.parametrize("tolerance", [math.nan, math.inf])
def test_exact_needs_a_finite_tolerance(tolerance):
    with pytest.raises(ValueError, match=f"at_most={tolerance}"):
        Exact("Equal.", "calculus", value("gap"), at_most=tolerance)
