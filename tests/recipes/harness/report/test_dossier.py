import math

import pytest

from keras_regimen.recipes.harness.evidence.evidence import evidence_of
from keras_regimen.recipes.harness.report.dossier import (
    mean_and_sd,
    newest_verdict,
    objective,
    read_dossier,
)


def test_a_recipe_without_rows_has_its_source_alone(dice):
    found = read_dossier(dice.file)
    assert (found.name, found.title) == ("dice", "Dice")
    assert found.question == "Does loading <b>help</b> & for whom?"
    assert (found.verdict, found.cells, found.claims) == (None, [], ())
    assert not found.stale


def test_a_summary_without_a_colon_is_the_question(write):
    file = write('"""is it so?"""\n', "two_dice")
    found = read_dossier(file)
    assert (found.title, found.question) == ("Two dice", "Is it so?")


def test_cells_are_those_behind_the_verdict(dice, cell, verdict):
    dice.append(
        cell("loaded", 0, "older"),
        cell("loaded", 0, dice.code, status="failed"),
        cell("loaded", 0, dice.code),
        cell("loaded", 1, dice.code, scale="smoke"),
        cell("loaded", 2, dice.code, settings={"rate": 0.9}),
        cell("loaded", 2, dice.code, data="clean"),
        cell("fair", 7, dice.code),
        cell("fair", 1, dice.code),
        verdict(dice.code),
    )
    found = read_dossier(dice.file)
    kept = [(r["arm"], r["seed"], r["status"]) for r in found.cells]
    assert kept == [("loaded", 0, "done"), ("fair", 1, "done")]
    assert found.arms == ["loaded", "fair"]
    assert found.conditions == ["noisy"]


def test_without_a_verdict_the_cells_of_the_present_code_are_shown(dice, cell):
    dice.append(
        cell("loaded", 0, "older"),
        cell("loaded", 1, dice.code, scale="smoke"),
        cell("loaded", 2, dice.code),
        cell("fair", 0, dice.code, status="failed"),
    )
    found = read_dossier(dice.file)
    assert [(r["arm"], r["seed"]) for r in found.cells] == [
        ("loaded", 2),
        ("fair", 0),
    ]
    assert [r["arm"] for r in found.failed] == ["fair"]


def test_the_recipes_own_verdict_comes_first(verdict):
    own = verdict("now")
    rows = [
        verdict("old", n=1),
        own,
        verdict("now", as_declared=False),
        verdict("now", scale="gpu"),
        verdict("later, undone since"),
    ]
    assert newest_verdict(rows, "now") is own
    assert newest_verdict(rows[:1], "now") is rows[0]
    assert newest_verdict(rows[2:4], "now") is rows[3]
    assert newest_verdict([], "now") is None


def test_a_verdict_of_other_code_is_stale(dice, verdict):
    dice.append(verdict("older"))
    assert read_dossier(dice.file).stale
    dice.append(verdict(dice.code))
    assert not read_dossier(dice.file).stale


def test_cells_that_computed_otherwise_are_not_behind_the_verdict(dice, cell):
    dice.judged()
    before = read_dossier(dice.file).cells
    other = {**before[0], "computation": {"precision": "mixed_bfloat16"}}
    dice.append({**other, "id": "0123456789abcdef"})
    assert read_dossier(dice.file).cells == before


def test_searches_are_those_of_the_verdicts_code(dice, cell):
    dice.judged().searched()
    dice.append(cell("loaded", 1000, "older"), suffix=".search")
    found = read_dossier(dice.file)
    (search,) = found.searches
    assert search.best.settings == {"rate": 0.5}
    # |0.5 - 0.4| on one seed, and 0.02 more on the other.
    assert search.best.score == pytest.approx(0.11)
    assert set(search.ranges) == {"rate", "learning_rate"}
    assert found.stale_searches == 1


def test_the_objective_is_the_headlines_on_validation_data(verdict, claim):
    assert objective(verdict()).label == "final val_error"
    no_twin = [claim(metric="updates to test_error ≤ 0.1"), claim()]
    assert objective(verdict(claims=no_twin)).label == "final val_error"
    assert objective(None).label == "final val_loss"


def test_the_highest_trial_wins_where_the_claim_is_about_more(dice, claim):
    higher = [claim(metric="updates to test_error ≤ 0.1"), claim()]
    higher[1]["better"] = "higher"
    dice.judged(claims=higher).searched()
    (search,) = read_dossier(dice.file).searches
    # Scores grow with the distance from a rate of 0.4.
    assert search.best.settings == {"rate": 0.9}
    dice.judged(claims=[claim()])
    (search,) = read_dossier(dice.file).searches
    assert search.best.settings == {"rate": 0.5}


def test_another_folder_is_read_alone(dice, tmp_path, cell):
    dice.judged()
    out = tmp_path / "elsewhere"
    assert read_dossier(dice.file, out).cells == []
    evidence_of(dice.file, out).append(cell("fair", 0, dice.code))
    assert len(read_dossier(dice.file, out).cells) == 1


def test_lines_that_are_no_rows_are_named(dice):
    dice.judged()
    with evidence_of(dice.file).path.open("a") as file:
        file.write("scribble\n")
    (problem,) = read_dossier(dice.file).problems
    assert problem.line == 8


def test_mean_and_spread():
    # (1 + 9 + 16) / 2 = 13.
    mean, sd = mean_and_sd([4.0, 2.0, 9.0])
    assert (mean, sd) == pytest.approx((5.0, math.sqrt(13)))
    assert all(map(math.isnan, mean_and_sd([])))
    assert all(map(math.isnan, mean_and_sd([1.0, math.inf])))
