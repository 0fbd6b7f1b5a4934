import pytest

from keras_regimen.recipes.harness.report.claim_view import claim_view


def test_the_table_holds_each_pair(claim):
    view = claim_view(claim(), 2)
    assert (view["place"], view["id"], view["word"]) == (
        2,
        "claim-2",
        "reproduced",
    )
    assert view["columns"] == ["loaded", "fair", "gain"]
    assert view["rows"] == [
        (0, "10.0 %", "14.0 %", "4"),
        (1, "12.0 %", "15.0 %", "3"),
        (2, "8.0 %", "13.0 %", "5"),
    ]


def test_facts_are_the_figures_of_the_row(claim):
    assert claim_view(claim(), 1)["facts"] == [
        ("mean gain", "4 points"),
        ("plausible range", "2 to 6 points"),
        ("matters from", "1 point"),
        ("pairs", "3"),
        ("spread (sd)", "1 point"),
        ("better in", "100% of pairs"),
        ("detectable", "3 points"),
    ]


def test_cost_is_both_arms_and_their_ratio(claim):
    assert claim_view(claim(), 1)["costs"] == [
        ("updates", "10", "10", "1.00 \u00d7"),
        ("CPU seconds", "3", "2", "1.50 \u00d7"),
    ]
    dearer = claim(cost={"updates": 1.0, "evaluations": 2.0})
    kinds = [line[0] for line in claim_view(dearer, 1)["costs"]]
    assert kinds == ["updates", "gradient evaluations"]


def test_an_exact_claim_has_its_tolerance(exact):
    view = claim_view(exact(), 1)
    assert view["facts"] == [("allowed", "0.01"), ("runs", "4")]
    assert view["columns"] == ["tanh", "relu"]
    assert view["rows"][0] == (0, "10⁻⁴", "0.001")
    assert view["interval"] is None
    assert view["costs"] == []


@pytest.mark.parametrize("arms", [[], None])
def test_a_claim_that_was_never_run_has_neither_plot_nor_rows(claim, arms):
    view = claim_view(
        claim(arms=arms, verdict=None, mean=None, low=None, cost=None), 1
    )
    assert (view["plot"], view["interval"], view["rows"]) == (None, None, [])
    assert view["gain"] == ""
