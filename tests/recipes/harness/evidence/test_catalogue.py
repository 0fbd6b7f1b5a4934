import json

import pytest

from keras_regimen.recipes.harness.evidence import catalogue
from keras_regimen.recipes.harness.evidence.code_hash import code_hash
from keras_regimen.recipes.harness.evidence.evidence import evidence_of
from keras_regimen.recipes.harness.run import run_recipe

HEADLINE = "The loaded die is higher."


def claim(**changes):
    return {
        "statement": HEADLINE,
        "verdict": "reproduced",
        "mean": 4.5,
        "low": 3.25,
        "high": 5.75,
        **changes,
    }


def verdict(code, claims=None, **changes):
    return {
        "kind": "verdict",
        "recipe": "dice",
        "scale": "cpu",
        "attempt": "a",
        "code": code,
        "look": 0,
        "n": 10,
        "claims": claims or [claim()],
        "cpu_seconds": 12.5,
        **changes,
    }


def cell(code, identity, **changes):
    return {
        "kind": "cell",
        "id": identity,
        "recipe": "dice",
        "arm": "fair",
        "seed": 0,
        "scale": "cpu",
        "data": "",
        "code": code,
        "status": "done",
        **changes,
    }


def append(file, *rows):
    for row in rows:
        evidence_of(file).append(row)


def test_a_recipe_that_was_not_run_has_its_source_alone(measured):
    found = catalogue.entry(measured)
    assert found.to_json() == {
        "name": "dice",
        "topic": measured.parent.name,
        "claim": HEADLINE,
        "verdict": None,
        "effect": None,
        "interval": None,
        "seeds": None,
        "seconds": None,
    }
    assert (found.stale, found.claims) == (False, ())


def test_an_entry_is_the_headline_of_the_newest_verdict(measured):
    code = code_hash(measured)
    newest = claim(verdict="no effect", mean=0.5, low=-1.0, high=2.0)
    second = claim(statement="And longer.", verdict="opposite", mean=-9.0)
    append(
        measured,
        verdict(code),
        verdict(code, [newest, second], n=20, cpu_seconds=25.5),
    )
    found = catalogue.entry(measured)
    assert json.loads(json.dumps(found.to_json())) == {
        "name": "dice",
        "topic": measured.parent.name,
        "claim": HEADLINE,
        "verdict": "no effect",
        "effect": 0.5,
        "interval": [-1.0, 2.0],
        "seeds": 20,
        "seconds": 25.5,
    }
    assert [c["verdict"] for c in found.claims] == ["no effect", "opposite"]
    assert not found.stale


def test_a_verdict_of_the_present_code_comes_before_a_newer_one(measured):
    append(
        measured,
        verdict(code_hash(measured), n=10),
        verdict("later, and undone since", n=30),
    )
    found = catalogue.entry(measured)
    assert (found.seeds, found.stale) == (10, False)


def test_a_verdict_of_other_code_is_stale(measured):
    append(measured, verdict("older", n=10), verdict("old", n=30))
    found = catalogue.entry(measured)
    assert (found.verdict, found.seeds) == ("reproduced", 30)
    assert found.stale


def test_a_verdict_at_another_scale_is_none(measured):
    append(measured, verdict(code_hash(measured), scale="gpu"))
    assert catalogue.entry(measured).verdict is None


def test_claims_that_are_not_written_out_come_from_the_last_run(measured):
    text = measured.read_text()
    body = text.replace("recipe = Recipe(", "recipe = made(", 1)
    made = "\n\ndef made(**options):\n    return Recipe(**options)\n\n\n"
    body = body.replace("recipe = made(", f"{made}recipe = made(", 1)
    measured.write_text(f'"""Are dice fair?\n\nLong."""\n{body}')
    assert catalogue.entry(measured).claim == "Are dice fair?"
    append(measured, verdict(code_hash(measured)))
    assert catalogue.entry(measured).claim == HEADLINE


def test_a_failed_comparison_has_no_interval(measured):
    broken = claim(verdict="failed", mean=None, low=None, high=None)
    append(measured, verdict(code_hash(measured), [broken]))
    found = catalogue.entry(measured)
    assert found.verdict == "failed"
    assert found.effect is found.interval is None


def test_what_a_run_writes_is_what_the_entry_reads(measured):
    result = run_recipe(measured, workers=0)
    found = catalogue.entry(measured)
    (comparison,) = result.comparisons
    assert found.verdict == comparison.word == "reproduced"
    assert found.effect == comparison.verdict.mean
    assert found.interval == (comparison.verdict.low, comparison.verdict.high)
    assert found.seeds == 10
    spent = sum(row["cost"]["cpu_seconds"] for row in result.rows)
    assert found.seconds == round(spent, 1)


def test_the_headline_is_the_recipes_and_not_the_users_own_trial(measured):
    run_recipe(measured, workers=0, seeds=6)
    declared = catalogue.entry(measured)
    assert declared.seeds == 6
    run_recipe(measured, workers=0, settings={"bonus": 1.0})
    assert catalogue.entry(measured) == declared
    # More seeds are another look at the same.
    run_recipe(measured, workers=0)
    assert catalogue.entry(measured).seeds == 10


def test_a_verdict_of_an_earlier_form_counts_as_declared(measured):
    code = code_hash(measured)
    append(measured, verdict(code), verdict(code, n=30, as_declared=False))
    assert catalogue.entry(measured).seeds == 10


def test_health_counts_each_cell_once_by_its_latest_row(measured):
    code = code_hash(measured)
    append(
        measured,
        cell(code, "1"),
        cell(code, "2", status="failed"),
        cell(code, "3", status="failed"),
        cell(code, "3"),  # Retried.
        cell("old", "4"),
        cell("old", "5", status="failed"),
        verdict("old", attempt="a"),
        verdict(code, attempt="b"),
        verdict(code, attempt="b", look=1, n=20),
    )
    path = evidence_of(measured).path
    with path.open("a") as file:
        file.write("scribble\n")
    found = catalogue.health(measured)
    assert found.to_json() == {
        "name": "dice",
        "path": str(path),
        "finished": 2,
        "failed": 1,
        "stale": 2,
        "attempts": 2,
        "looks": 2,
        "problems": [f"{path}, line 10: not JSON"],
    }


def test_health_without_rows_is_all_zeros(measured, tmp_path):
    found = catalogue.health(measured, out=tmp_path / "elsewhere")
    assert found.path == str(tmp_path / "elsewhere" / "dice.jsonl")
    counts = [found.finished, found.failed, found.stale]
    assert [*counts, found.attempts, found.looks] == [0] * 5
    assert found.problems == ()


@pytest.fixture
def shipped(monkeypatch, measured, fitted):
    """Returns the recipes of a package of two."""
    files = {"dice": measured, "clouds": fitted}
    monkeypatch.setattr(catalogue, "shipped", files.copy)
    return files


def test_entries_are_in_the_order_of_the_package(shipped):
    assert [e.name for e in catalogue.entries()] == ["dice", "clouds"]


def test_stale_are_recipes_without_a_verdict_of_the_present_code(shipped):
    assert catalogue.stale_recipes() == list(shipped.values())
    dice = shipped["dice"]
    append(dice, verdict(code_hash(dice)))
    assert catalogue.stale_recipes() == [shipped["clouds"]]
    text = dice.read_text().replace("integers(1, 7)", "integers(1, 9)")
    dice.write_text(text)
    assert catalogue.stale_recipes() == list(shipped.values())


def test_the_shipped_evidence_holds_no_line_that_is_no_row():
    for file in catalogue.shipped().values():
        assert catalogue.health(file).problems == ()
