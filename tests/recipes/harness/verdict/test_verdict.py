import dataclasses
import itertools
import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from keras_regimen.recipes.harness.verdict import verdict as verdict_module
from keras_regimen.recipes.harness.verdict.verdict import (
    collapse_bound,
    judge,
    new_data_interval,
    probability_of_improvement,
)

RISEN = [0.9, 1.2, 1.1, 0.8, 1.0, 1.3]  # mean 1.05, variance 0.175 / 5


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# One hand-computed example for each word.


def test_clear_gain_is_reproduced():
    v = judge(RISEN, smallest_effect=0.5)
    assert v.word == "reproduced"
    assert (v.n, v.n_min) == (6, 6)
    assert v.mean == pytest.approx(1.05)
    assert v.sd == pytest.approx(math.sqrt(0.035))
    # Student: 1.05 -/+ 2.5706 * 0.18708 / sqrt(6) = [0.854, 1.246]; the
    # outermost of 63 subset means (k = 1) are wider: the single extremes.
    assert (v.low, v.high) == (0.8, 1.3)
    # t(0.8, 5) = 0.9195.
    expected = (2.570582 + 0.919544) * math.sqrt(0.035 / 6)
    assert v.minimum_detectable == pytest.approx(expected, rel=1e-5)
    assert v.seeds_likely is None
    assert v.seeds_sure is None
    assert "[0.8, 1.3]" in v.reason
    assert "1.05 reaches the smallest effect 0.5" in v.reason


def test_sure_gain_below_the_smallest_effect_is_the_same_direction():
    v = judge(RISEN, smallest_effect=1.1)
    assert v.word == "same direction"
    assert "1.05 is below the smallest effect 1.1" in v.reason


def test_sure_loss_is_opposite_whatever_its_size():
    for smallest_effect in (0.5, 100.0):
        v = judge([-x for x in RISEN], smallest_effect)
        assert v.word == "opposite"
        assert (v.low, v.high) == (-1.3, -0.8)


def test_interval_within_the_smallest_effect_is_no_effect():
    d = [0.1, -0.1, 0.2, -0.2, 0.15, -0.1]
    v = judge(d, smallest_effect=0.3)
    # Student: sd = sqrt((0.135 - 6 * (0.05 / 6)**2) / 5) = 0.16253, so
    # 0.00833 -/+ 2.5706 * 0.16253 / sqrt(6) = [-0.162, 0.179].
    assert v.word == "no effect"
    assert v.sd == pytest.approx(0.16253, rel=1e-4)
    assert (v.low, v.high) == (-0.2, 0.2)
    assert judge(d, smallest_effect=0.19).word == "underpowered"


def test_wide_interval_is_underpowered_and_says_how_many_seeds_decide():
    d = [2.0, -1.0, 1.5, -0.5, 0.5, 0.5]  # mean 0.5, sd sqrt(6.5 / 5)
    v = judge(d, smallest_effect=1.0)
    assert v.word == "underpowered"
    s = math.sqrt(1.3)

    def first(decides):
        return next(n for n in itertools.count(7) if decides(n))

    def t(p, n):
        return stats.t.ppf(p, n - 1)

    assert v.seeds_likely == first(
        lambda n: (t(0.975, n) + t(0.9, n)) * s / math.sqrt(n) <= 1.0
    )
    assert v.seeds_sure == first(
        lambda n: t(0.975, n) * s / math.sqrt(n) <= 0.5
    )
    assert 6 < v.seeds_likely < v.seeds_sure
    assert f"{v.seeds_likely} seeds would likely decide" in v.reason


def test_advice_is_always_to_add_seeds():
    # Student's half width, 0.338, would do; the extremes are in the way.
    v = judge([-0.01, 0.5, 0.5, 0.5, 0.5, 1.01], smallest_effect=1.0)
    assert v.word == "underpowered"
    assert v.seeds_likely == v.seeds_sure == 7


# Degenerate input.


def test_no_pairs_failed():
    v = judge([], smallest_effect=1.0)
    assert (v.word, v.n, v.mean, v.low) == ("failed", 0, None, None)


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("n", [1, 6, 30])
def test_a_missing_pair_is_never_dropped(missing, n):
    v = judge([missing] + [1.0 + 0.1 * i for i in range(n - 1)], 0.1)
    assert v.word == "failed"
    assert v.n == n
    assert v.mean is v.sd is v.low is v.high is v.minimum_detectable is None
    assert v.reason == f"1 of {n} pairs have no finite value."


def test_one_pair_has_a_mean_and_no_interval():
    v = judge([0.3], smallest_effect=0.1)
    assert (v.word, v.n, v.n_min, v.mean) == ("underpowered", 1, 6, 0.3)
    assert v.sd is v.low is v.high is v.minimum_detectable is None
    assert v.seeds_likely is v.seeds_sure is None
    assert "1 of at least 6" in v.reason


def test_fewer_than_the_least_pairs_decide_nothing_however_clear():
    v = judge(RISEN[:5], smallest_effect=0.5)
    assert v.word == "underpowered"
    assert v.low > 0.5
    assert v.seeds_likely is v.seeds_sure is None
    # Too few comes before "all equal" in the order of words.
    assert judge([0.3] * 5, 0.1).word == "underpowered"


@pytest.mark.parametrize(
    ("parts", "n_min"),
    [(1, 6), (2, 7), (3, 7), (4, 8), (6, 8), (7, 9), (12, 9)],
)
def test_tests_that_share_the_error_need_more_pairs(parts, n_min):
    d = [1.0, 1.1] * 5
    assert judge(d[: n_min - 1], 0.5, parts).word == "underpowered"
    v = judge(d[:n_min], 0.5, parts)
    assert (v.word, v.n_min) == ("reproduced", n_min)


@pytest.mark.parametrize("value", [0.0, 0.3, -0.3, 0.1])
def test_equal_differences_on_a_continuous_metric_failed(value):
    v = judge([value] * 10, smallest_effect=0.2)
    assert v.word == "failed"
    assert v.sd == 0
    assert "did not act" in v.reason


@pytest.mark.parametrize(
    ("value", "word"),
    [(0.0, "no effect"), (0.3, "reproduced"), (-0.3, "opposite")],
)
def test_equal_differences_on_a_coarse_metric_are_judged(value, word):
    # The sd counts as half a step: half width 2.2622 * 0.05 / sqrt(10).
    v = judge([value] * 10, smallest_effect=0.2, resolution=0.1)
    assert v.word == word
    assert v.sd == 0
    half = 2.262157 * 0.05 / math.sqrt(10)
    assert v.high - v.mean == pytest.approx(half, rel=1e-6)
    assert v.mean - v.low == pytest.approx(half, rel=1e-6)


def test_resolution_matters_only_where_the_spread_is_smaller():
    fine = judge(RISEN, 0.5, resolution=2 * math.sqrt(0.035) - 1e-6)
    assert fine.minimum_detectable == judge(RISEN, 0.5).minimum_detectable
    coarse = judge(RISEN, 0.5, resolution=2.0)
    expected = (2.570582 + 0.919544) / math.sqrt(6)
    assert coarse.minimum_detectable == pytest.approx(expected, rel=1e-5)


def test_enormous_differences_overflow_nothing():
    v = judge([1e200, -1e200, 2e200, 3e200, 0.0, 1e200], smallest_effect=1.0)
    assert v.word == "underpowered"
    assert math.isfinite(v.high)


# With 6 pairs the interval's ends are single differences, so that each edge
# can be set exactly. The tolerance is 1e-9 of the smallest effect, here 1.
@pytest.mark.parametrize(
    ("d", "inside", "outside"),
    [
        # The mean against the smallest effect: 1 - x.
        (lambda x: [1 - x - 0.1, 1 - x + 0.1] * 3, "reproduced", "same"),
        # The lower end against 0.
        (lambda x: [x, 1.1, 1.2, 1.3, 1.4, 1.5], "underpowered", "reproduced"),
        # The upper end against 0.
        (lambda x: [-x] + [-1.2, -1.4] * 2 + [-1.0], "underpowered", "oppos"),
        # The upper end, then the lower, against the smallest effect.
        (lambda x: [1 - x, -0.5, 0, 0.1, 0.2, 0], "underpowered", "no effect"),
        (lambda x: [x - 1, 0.5, 0, 0.1, 0.2, 0], "underpowered", "no effect"),
        # The spread of equal differences.
        (lambda x: [3.0] * 5 + [3.0 + x], "failed", "reproduced"),
    ],
)
def test_equal_up_to_rounding_is_equal(d, inside, outside):
    assert judge(d(0.5e-9), 1.0).word.startswith(inside)
    assert judge(d(2e-9), 1.0).word.startswith(outside)
    # The tolerance is relative: the same in other units.
    for scale in (1e-6, 1e6):
        scaled = [scale * x for x in d(2e-9)]
        assert judge(scaled, scale).word.startswith(outside)


def test_a_tie_of_counts_is_one_in_float32_too():
    def word(counts):
        errors = np.float32(counts) / np.float32(597)
        d = [float(f"{error:.8g}") for error in errors]
        d[0] -= float(f"{errors[0]:.7g}")  # Was a tie, but for rounding.
        return judge(d, 0.005, resolution=1 / 597).word

    assert word([7, 5, 6, 7, 5, 6]) == "underpowered"
    errors = [step / 597 for step in (1, 5, 6, 7, 5, 6)]
    assert judge(errors, 0.005, resolution=1 / 597).word == "reproduced"


@pytest.mark.parametrize(
    "arguments",
    [
        {"smallest_effect": 0.0},
        {"smallest_effect": -1.0},
        {"smallest_effect": math.nan},
        {"smallest_effect": math.inf},
        {"parts": 0},
        {"parts": 1.5},
        {"resolution": -0.1},
        {"resolution": math.nan},
        {"resolution": math.inf},
    ],
)
def test_bad_argument_says_what_was_received(arguments):
    ((name, value),) = arguments.items()
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}={value}"):
        judge(RISEN, **{"smallest_effect": 1.0, **arguments})


# The interval against other implementations.


def sign_flip_limit(d, tail):
    """Returns the largest m that a sign-flip test of mean > m rejects.

    By bisection on the p-value: the share of all 2**n choices of signs with
    which `d - m` sums to at least what it does.
    """
    signs = np.array(list(itertools.product([1, -1], repeat=len(d))))
    low, high = min(d) - 1, max(d) + 1
    for _ in range(50):
        m = (low + high) / 2
        p_value = np.mean(signs @ (d - m) >= np.sum(d - m) - 1e-12)
        low, high = (m, high) if p_value <= tail else (low, m)
    return low


def student_interval(d, parts):
    return stats.ttest_1samp(d, 0).confidence_interval(1 - 0.05 / parts)


@pytest.mark.parametrize(("n", "parts"), [(6, 1), (8, 4), (10, 1), (10, 7)])
@pytest.mark.parametrize("kind", ["normal", "outlier", "bimodal"])
def test_interval_is_the_wider_of_student_and_sign_flip(n, parts, kind):
    tail = 0.05 / (2 * parts)
    d = normal(n, seed=n)
    if kind == "outlier":
        d[0] += 10
    elif kind == "bimodal":
        d[::2] += 10
    v = judge(d, 1.0, parts)
    student = student_interval(d, parts)
    low, high = sign_flip_limit(d, tail), -sign_flip_limit(-d, tail)
    assert v.low == pytest.approx(min(student.low, low), abs=1e-9)
    assert v.high == pytest.approx(max(student.high, high), abs=1e-9)


def test_both_halves_of_the_interval_are_needed():
    two_sided = np.repeat([0.0, 1.0], 5) + 0.01 * normal(10)
    v, student = judge(two_sided, 1.0), student_interval(two_sided, 1)
    assert v.low < student.low - 0.1
    assert v.high > student.high + 0.1
    outlier = np.repeat([0.0, 1.0], [9, 1]) + 0.01 * normal(10)
    v, student = judge(outlier, 1.0), student_interval(outlier, 1)
    assert v.low == pytest.approx(student.low)


def test_beyond_twenty_pairs_random_subsets_stand_in_for_all():
    # Two modes, so that the sign-flip half sets the lower end.
    d = np.repeat([0.0, 1.0], [16, 5]) + 0.01 * normal(21)
    v = judge(d, 1.0)
    assert v.low < student_interval(d, 1).low - 0.03
    # The share of all subsets with so small a mean is 0.025, but for the
    # draw: binomial with 65,535 tries.
    sums, sizes = np.zeros(1), np.zeros(1)
    for x in d:
        sums, sizes = np.r_[sums, sums + x], np.r_[sizes, sizes + 1]
    share = np.mean(sums[1:] / sizes[1:] <= v.low)
    assert abs(share - 0.025) < 3 * math.sqrt(0.025 * 0.975 / 65_535)
    assert judge(d, 1.0) == v  # The same subsets each time.


def test_twenty_pairs_are_still_enumerated(monkeypatch):
    def refuse(n):
        raise AssertionError(n)

    monkeypatch.setattr(verdict_module, "_random_subsets", refuse)
    judge(normal(20), 1.0)
    with pytest.raises(AssertionError, match="21"):
        judge(normal(21), 1.0)


def test_verdict_is_made_of_plain_python_values():
    types = {type(x) for x in dataclasses.astuple(judge(normal(10), 0.1))}
    assert types == {str, int, float}


# What the rule promises, by simulation. Seeded, so that a run repeats.


def shares(d, smallest_effect):
    words = Counter(judge(row, smallest_effect).word for row in d)
    return {word: count / len(d) for word, count in words.items()}


@pytest.mark.parametrize("n", [6, 10])
def test_wrong_words_under_no_effect_stay_below_the_level(n):
    found = shares(normal((4000, n)), smallest_effect=0.01)
    sigma = math.sqrt(0.025 * 0.975 / 4000)
    # What a level of 2.5 % leaves after the discreteness of 2**n sign flips:
    # at n = 6 a single one, 1 / 64.
    spent = {6: 0.010, 10: 0.018}[n]
    for word in ("reproduced", "opposite"):
        assert spent < found[word] <= 0.025 + 2 * sigma


def test_tied_accuracies_keep_the_level():
    # A difference of one test row or none: Student alone errs beyond 6 %.
    rng = np.random.default_rng(0)
    d = rng.choice([-1.0, 0, 1.0], p=[0.1, 0.8, 0.1], size=(3000, 10))
    words = [judge(row, 0.01, resolution=1.0).word for row in d]
    sigma = math.sqrt(0.025 * 0.975 / 3000)
    assert words.count("reproduced") / 3000 <= 0.025 + 2 * sigma
    assert words.count("opposite") / 3000 <= 0.025 + 2 * sigma


def test_looks_together_spend_no_more_than_the_level():
    claims, families = 2, 1000
    wrong = sum(
        any(
            # The smallest effect is so large that "no effect" is the rest.
            judge(d[:n], 100.0, claims * 2**look).word != "no effect"
            for d in family
            for look, n in enumerate((9, 10, 11, 12))
        )
        for family in normal((families, claims, 12))
    )
    sigma = math.sqrt(0.05 * 0.95 / families)
    assert 0.02 < wrong / families <= 0.05 + 2 * sigma


@pytest.mark.parametrize(
    ("n", "effect", "power"),
    [(10, 1, 0.50), (10, 2, 1.0), (6, 1, 0.28), (6, 2, 0.87)],
)
def test_power_where_the_spread_equals_the_smallest_effect(n, effect, power):
    found = shares(normal((2000, n)) + effect, smallest_effect=1.0)
    sigma = math.sqrt(power * (1 - power) / 2000)
    # Half a per cent for the rounding of the figures.
    assert abs(found["reproduced"] - power) <= 3 * sigma + 0.005


def test_seeds_likely_decide_nine_times_in_ten():
    d = normal(10, seed=1)
    d = (d - d.mean()) / d.std(ddof=1)
    n = judge(d + 0.5, smallest_effect=1.0).seeds_likely
    found = shares(normal((1000, n)) + 1.0, smallest_effect=1.0)
    decided = 1 - found.get("underpowered", 0)
    assert decided > 0.9 - 3 * math.sqrt(0.09 / 1000)


# The lines beside the word.


def test_new_data_interval_widens_by_the_overlap_of_splits():
    v = judge(RISEN, smallest_effect=0.5)
    low, high = new_data_interval(v, 1, train_size=1000, test_size=500)
    half = 2.570582 * math.sqrt(0.035) * math.sqrt(1 / 6 + 0.5)
    assert low == pytest.approx(1.05 - half, rel=1e-6)
    assert high == pytest.approx(1.05 + half, rel=1e-6)
    shared = new_data_interval(v, 4, train_size=1000, test_size=500)
    factor = stats.t.ppf(1 - 0.05 / 8, 5) / stats.t.ppf(0.975, 5)
    assert shared[1] - 1.05 == pytest.approx(half * factor)


def test_new_data_interval_counts_the_resolution_and_needs_an_interval():
    tied = judge([0.0] * 10, 1.0, resolution=0.2)
    low, high = new_data_interval(tied, 1, 100, 100, resolution=0.2)
    assert -low == high == pytest.approx(2.262157 * 0.1 * math.sqrt(1.1))
    assert new_data_interval(judge([], 1.0), 1, 100, 100) is None
    assert new_data_interval(judge([1.0], 1.0), 1, 100, 100) is None


def test_collapse_bound_is_the_exact_binomial_limit():
    assert collapse_bound(10) == pytest.approx(0.2589, abs=1e-4)
    for n in (1, 5, 40):
        exact = stats.binomtest(0, n).proportion_ci(0.90).high
        assert collapse_bound(n) == pytest.approx(exact)
    assert collapse_bound(0) == 1


def test_probability_of_improvement_counts_ties_half():
    assert probability_of_improvement([1.0, -1.0, 0.0, 2.0]) == 0.625
    assert probability_of_improvement(np.array([0.0, 0.0])) == 0.5
    for missing in ([], [None, 1.0], [math.nan, 1.0]):
        assert probability_of_improvement(missing) is None
