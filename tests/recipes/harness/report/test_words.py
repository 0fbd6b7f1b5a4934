import pytest

from keras_regimen.recipes.harness.report.words import (
    caveats,
    cost_in_words,
    seconds,
    verdict_in_words,
)


def said(claim):
    return verdict_in_words(claim)


def test_reproduced(claim):
    assert said(claim()) == (
        "In 3 paired runs, loaded lowered the test error by 4 points on "
        "average against fair (plausible range: 2 to 6). That is at least "
        "the 1 point that would matter."
    )


def test_same_direction(claim):
    found = said(claim(verdict="same direction", mean=0.004, low=0.001))
    assert "lowered the test error by 0.4 points" in found
    assert "range: 0.1 to 6)" in found
    assert "the gain is smaller than the 1 point that would matter." in found


def test_no_effect(claim):
    changes = {"mean": 0.0, "low": -0.002, "high": 0.002}
    found = said(claim(verdict="no effect", **changes))
    assert "loaded and fair had the same test error on average" in found
    assert "smaller than the 1 point that would matter." in found


def test_opposite(claim):
    changes = {"mean": -0.03, "low": -0.05, "high": -0.01}
    found = said(claim(verdict="opposite", **changes))
    assert "loaded raised the test error by 3 points" in found
    assert "(plausible range: 1 to 5)" in found
    assert found.endswith("That is the opposite of what is claimed.")


def test_a_higher_figure_may_be_the_better_one(claim):
    found = said(claim(better="higher", metric="reward", smallest_effect=0.1))
    assert "loaded raised the reward by 0.04 on average" in found
    assert "lowered" in said(claim(better="higher", mean=-0.04))


def test_underpowered_says_how_many_seeds_would_decide(claim):
    found = said(
        claim(
            verdict="underpowered",
            mean=0.01,
            low=-0.006,
            high=0.022,
            seeds_likely=23,
            seeds_sure=1400,
        )
    )
    assert "(plausible range: from 0.6 worse to 2.2 better)" in found
    assert "These runs cannot tell" in found
    assert found.endswith("23 seeds would likely decide, 1,400 surely.")


def test_too_few_pairs_are_no_result(claim):
    found = said(claim(verdict="underpowered", n=3, n_min=8))
    assert found == ("Only 3 paired runs: fewer than 8 cannot decide anything.")


def test_failed_gives_the_reason(claim):
    found = said(
        claim(verdict="failed", reason="1 of 3 pairs is gone.", mean=None)
    )
    assert found == "Nothing can be said. 1 of 3 pairs is gone."


@pytest.mark.parametrize(
    ("done", "told"), [(1, "1 of 10 seeds has"), (7, "7 of 10 seeds have")]
)
def test_no_verdict_yet(claim, done, told):
    found = said(claim(verdict=None, done=done, seeds=10))
    assert found == f"No verdict yet: {told} finished."


def test_a_tolerance_that_holds(exact):
    assert said(exact()) == (
        "In all 4 runs, the figure “worst gap” stayed within the 0.01 that "
        "the claim allows; the largest was 0.001."
    )


def test_a_tolerance_that_does_not_hold_counts_the_runs(exact):
    found = said(exact(verdict="opposite", at_most=5e-4))
    assert "In 2 of 4 runs" in found
    assert "exceeded the 5.00" in found


def test_cost_leaves_out_what_is_said_twice(claim):
    assert (
        cost_in_words(claim())
        == "1.50 times the CPU time, with as many updates"
    )
    dearer = claim(cost={"updates": 1.0, "evaluations": 2.0})
    assert cost_in_words(dearer) == (
        "as many updates, with 2.00 times the gradient evaluations"
    )
    assert cost_in_words(claim(cost=None)) is None


def test_caveats_count_what_went_wrong(claim):
    arms = claim()["arms"]
    arms[0] |= {"missed": 2}
    arms[1] |= {"collapsed": 3}
    missed, collapsed, new = caveats(claim(arms=arms))
    assert missed.startswith("2 of 3 runs of loaded never got there")
    assert collapsed == "3 of 3 runs of fair learned nothing."
    assert new.endswith("it would be \u22121 to 9 points.")
    assert caveats(claim(new_data=None)) == []


def test_seconds_are_told_in_the_unit_of_their_size():
    found = [seconds(s) for s in (0.0123, 119.0, 120.0, 7199.0, 86400.0, None)]
    assert found == ["0.0123 s", "119 s", "2 min", "120 min", "24 h", "\u2013"]
