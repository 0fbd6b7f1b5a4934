from keras_regimen.recipes.harness.report.dossier import read_dossier
from keras_regimen.recipes.harness.report.search_view import search_view


def test_a_search_has_its_budget_its_best_and_the_gap(dice):
    dice.judged().searched()
    found = search_view(read_dossier(dice.file))
    assert found["figure"] == "validation error at the end of training"
    (row,) = found["groups"]["noisy"]
    assert [name for name, _ in row.pop("plots")] == ["rate"]
    assert "the best so far ends at 11.0 %" in row.pop("progress")
    # The best, 0.5, scored 0.10 and 0.12, and 0.15 on a fresh seed.
    assert row == {
        "arm": "loaded",
        "trials": 3,
        "runs": 6,
        "best": [("rate", 0.5)],
        "score": "11.0 %",
        "rerun": "15.0 %",
        "reruns": 1,
        "gap": "4 points",
    }
    assert found["warnings"] == []


def test_a_best_value_at_the_edge_is_warned_of(dice):
    dice.judged().searched(rates=(0.0, 0.9))
    (warning,) = search_view(read_dossier(dice.file))["warnings"]
    assert warning.startswith("loaded: the best rate, 0, lies at an end")


def test_without_a_search_there_is_no_section(dice):
    dice.judged()
    assert search_view(read_dossier(dice.file)) is None
