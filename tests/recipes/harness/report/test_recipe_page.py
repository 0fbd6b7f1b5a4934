import math
from itertools import pairwise

import pytest

from keras_regimen.recipes.harness.evidence.discovery import shipped
from keras_regimen.recipes.harness.evidence.evidence import evidence_of
from keras_regimen.recipes.harness.report.dossier import read_dossier
from keras_regimen.recipes.harness.report.quantity import quantity
from keras_regimen.recipes.harness.report.recipe_page import recipe_page
from keras_regimen.recipes.harness.run import run_recipe


@pytest.fixture
def page(dice, read):
    """Returns a function to the page of the recipe's rows."""

    def make(**changes):
        if changes.pop("judged", True):
            dice.judged(**changes)
        return read(recipe_page(read_dossier(dice.file)))

    return make


def test_the_page_answers_first(page):
    found = page()
    assert found.headings[0] == (1, "Dice")
    assert "Does loading <b>help</b> & for whom?" in found.by_class["question"]
    assert found.by_class["word"][0] == "reproduced"
    assert found.by_class["sentence"][0].startswith(
        "In 3 paired runs, loaded lowered the test error by 4 points"
    )
    assert "1.50 times the CPU time, with as many updates" in found.text
    assert "12 s of CPU time" in found.text


def test_tables_hold_the_figures_of_the_rows(page):
    found = page()
    (pairs,) = found.tables["pairs"]
    assert pairs == [
        ["seed", "loaded", "fair", "gain"],
        ["0", "10.0 %", "14.0 %", "4"],
        ["1", "12.0 %", "15.0 %", "3"],
        ["2", "8.0 %", "13.0 %", "5"],
    ]
    (arms,) = found.tables["arms"]
    assert arms[1][:6] == [
        "loaded",
        "10.0 % ± 2.0 %",
        "3",
        "\u2013",
        "2",
        "1,234",
    ]
    assert arms[1][6] == "rate = 0.5"
    (costs,) = found.tables["costs"]
    assert costs[2] == ["CPU seconds", "3", "2", "1.50 \u00d7"]


def test_the_search_shows_score_rerun_and_gap(page, dice):
    dice.searched(rates=(0.1, 0.5, 1.0))
    found = page()
    (search,) = found.tables["search"]
    assert search[1] == [
        "loaded",
        "3",
        "6",
        "11.0 %",
        "15.0 % (1)",
        "4 points",
        "rate = 0.5",
    ]
    assert "warning" not in found.by_class


def test_headings_are_in_order_and_ids_are_unique(page, dice, claim):
    dice.searched()
    found = page(claims=[claim(), claim(on=None)])
    levels = [level for level, _ in found.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert len(found.ids) == len(set(found.ids))
    inside = [link[1:] for link in found.links if link.startswith("#")]
    assert set(inside) <= set(found.ids)


def test_nothing_on_the_page_leads_off_the_machine(page, dice):
    dice.searched()
    found = page()
    for tag, attributes in found.tags:
        for name in ("src", "href", "action", "data"):
            target = attributes.get(name) or ""
            assert not target.startswith(("http", "//")), (tag, target)
    assert {t for t, _ in found.tags} & {"img", "iframe", "object"} == set()


def test_what_users_write_is_text(page, dice, claim, verdict, cell):
    evil = "</script><script>alert(1)</script>"
    statement = claim(statement=evil, source=evil, reason=evil)
    dice.append(
        *dice.cells(),
        cell(
            "loaded",
            0,
            dice.code,
            status="failed",
            error=f"ValueError: {evil}",
            traceback=evil,
            device=evil,
        ),
        verdict(dice.code, claims=[statement]),
    )
    html = recipe_page(read_dossier(dice.file))
    assert "<script>alert" not in html
    found = page(judged=False)
    assert sum(tag == "script" for tag, _ in found.tags) == 1
    assert f"ValueError: {evil}" in found.text


def test_a_failed_run_is_shown_with_its_error(page, dice, cell, verdict):
    broken = {"status": "failed", "error": "ArithmeticError: it broke"}
    dice.append(
        cell("loaded", 0, dice.code, **broken, traceback="line 1\nline 2"),
        cell("fair", 0, dice.code, **broken, traceback="line 3"),
        verdict(dice.code),
    )
    found = page(judged=False)
    assert (2, "Failed runs") in found.headings
    assert "ArithmeticError: it broke" in found.text
    assert "noisy / loaded / seed 0; noisy / fair / seed 0" in found.text
    assert found.by_class["trace"] == ["line 1 line 2"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("opposite", "That is the opposite of what is claimed."),
        ("same direction", "smaller than the 1 point that would matter."),
        ("failed", "Nothing can be said. It broke."),
        (None, "No verdict yet: 2 of 3 seeds have finished."),
    ],
)
def test_every_word_is_told(page, claim, word, told):
    found = page(claims=[claim(verdict=word, reason="It broke.", done=2)])
    assert told in found.by_class["sentence"][0]
    assert found.by_class["word"][0] == (word or "no verdict yet")


def test_a_recipe_that_was_not_run_says_so(page):
    found = page(judged=False)
    assert found.by_class["sentence"] == ["Nothing has been run yet."]
    assert "Loading lowers the test error." in found.text


def test_runs_without_a_verdict_are_counted(page, dice):
    dice.append(*dice.cells(seeds=2))
    found = page(judged=False)
    assert found.by_class["sentence"] == [
        "No verdict yet: 4 runs finished, over 2 seeds. A verdict is given "
        "when all seeds are in."
    ]
    assert (2, "Learning curves") in found.headings


def test_smoke_gives_no_verdict(page, dice):
    dice.append(*dice.cells(seeds=1, scale="smoke"))
    (told,) = page(judged=False).by_class["sentence"]
    assert told.endswith("Runs at smoke scale get no verdict.")


def test_a_stale_verdict_says_so_and_how_to_renew_it(page, dice, verdict):
    assert "stale" not in page().by_class
    text = dice.file.read_text().replace("0.0, 1.0", "0.0, 0.9")
    dice.file.write_text(text)
    (told,) = page(judged=False).by_class["stale"]
    assert "regimen run dice.py renews it" in told


def test_settings_of_the_users_own_are_said(page):
    (told,) = page(as_declared=False).by_class["stale"]
    assert "not about the recipe as it is declared" in told


def test_all_looks_are_listed(page, dice, verdict):
    dice.append(verdict(dice.code, n=2))
    found = page(look=1)
    (history,) = found.tables["history"]
    assert [row[3:5] for row in history[1:]] == [["3", "2"], ["2", "1"]]


def test_a_diverged_curve_leaves_a_page(page, dice, cell, verdict):
    curves = {"loss": [math.nan, math.inf], "val_error": [0.5, math.nan]}
    dice.append(
        cell("loaded", 0, dice.code, curves=curves, final={}),
        verdict(dice.code),
    )
    found = page(judged=False)
    assert "Validation error" in found.by_class["panel-name"]
    assert "Training loss" not in found.by_class["panel-name"]


def test_lines_that_are_no_rows_are_named(page, dice):
    dice.judged()
    with evidence_of(dice.file).path.open("a") as file:
        file.write("scribble\n")
    (told,) = page(judged=False).by_class["stale"]
    assert told == "Line 8 of dice.jsonl is no row: not JSON"


def test_a_recipe_that_measures_has_tolerances_and_no_curves(read):
    found = read(recipe_page(read_dossier(shipped()["backpropagation"])))
    names = [text for _, text in found.headings]
    assert "Learning curves" not in names
    assert "Search" not in names
    assert found.by_class["word"][0] == "reproduced"
    assert len(found.tables["pairs"]) == 2
    assert all(len(table) == 11 for table in found.tables["pairs"])


def test_what_a_run_writes_is_what_its_page_says(measured, read):
    result = run_recipe(measured, workers=0, seeds=6)
    (comparison,) = result.comparisons
    found = read(recipe_page(read_dossier(measured)))
    told = quantity("eyes", 1.0)
    verdict = comparison.verdict
    assert told.amount(verdict.mean) in found.by_class["sentence"][0]
    (pairs,) = found.tables["pairs"]
    loaded, fair = comparison.sides
    for seed, row in enumerate(pairs[1:]):
        gain = loaded.values[seed] - fair.values[seed]
        assert row[3] == told.figure(gain)
    (arms,) = found.tables["arms"]
    by_arm = {row[0]: row for row in arms[1:]}
    for record in result.arms:
        mean, sd = (told.level(record[key]) for key in ("mean", "sd"))
        assert by_arm[record["arm"]][1] == f"{mean} ± {sd}"


def test_a_run_that_broke_has_a_page(measured, read):
    run_recipe(measured, workers=0, settings={"fault": "raise"}, seeds=6)
    found = read(recipe_page(read_dossier(measured)))
    assert found.by_class["word"][0] == "failed"
    assert "ArithmeticError: the die fell off the table" in found.text
    assert "line" in found.by_class["trace"][0]


def test_commands_can_be_copied(page):
    found = page()
    assert "regimen run dice.py --seeds 3 --out regimen-again" in found.text
