import io
import math
import re
from pathlib import Path

from rich.console import Console

from keras_regimen.recipes.harness.evidence.catalogue import Entry, Health
from keras_regimen.recipes.harness.evidence.evidence import Problem
from keras_regimen.recipes.harness.terminal import listing
from keras_regimen.recipes.harness.tuning import Search


def shown(renderable, width=80):
    """Returns the lines, without the spaces that fill them."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def entry(name, topic, statement, *figures, stale=False, claims=()):
    verdict, effect, interval, seeds, seconds = figures or (None,) * 5
    return Entry(
        name,
        topic,
        statement,
        verdict,
        effect,
        interval,
        seeds,
        seconds,
        stale,
        claims,
    )


def test_recipes_stand_below_their_topic_with_claim_and_verdict():
    lines = shown(
        listing.recipes(
            [
                entry("a", "basics", "1 + 1 = 2.", "reproduced", 0, None, 3, 1),
                entry(
                    "dropout",
                    "regularization",
                    "It helps.",
                    "same direction",
                    0.0123456,
                    (0.001, 0.02),
                    10,
                    312.5,
                    stale=True,
                ),
                entry("later", "regularization", "[It] helps, too."),
            ]
        )
    )
    assert lines == [
        "recipe      verdict                  effect        interval   seeds",
        "basics",
        "  a         reproduced                    0                       3",
        "    1 + 1 = 2.",
        "regularization",
        "  dropout   same direction (stale)   0.0123   [0.001, 0.02]      10",
        "    It helps.",
        "  later     not run",
        "    [It] helps, too.",
    ]


def test_a_long_claim_is_wrapped_below_its_beginning():
    statement = "a long claim " * 12
    lines = shown(listing.recipes([entry("x", "y", statement)]))
    wrapped = [line for line in lines if "claim" in line]
    assert len(wrapped) > 1
    assert all(re.match(r"    \S", line) for line in wrapped)
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(wrapped).split()) == statement.strip()


def figures_of(width):
    """Returns the line of a recipe whose figures are far below its unit."""
    figures = ("no effect", -3e-9, (-0.00009, 0.0123456), 10, 1.0)
    claims = ({"smallest_effect": 0.02},)
    drawn = listing.recipes([entry("x", "y", "z", *figures, claims=claims)])
    return shown(drawn, width)[2]


def test_where_it_gets_narrow_the_interval_goes_and_then_the_effect():
    # 6 + 9 + 6 + 11 + 5 signs, three spaces after each column but the last.
    assert figures_of(49) == "  x      no effect        0   [0, 0.0123]      10"
    assert figures_of(48) == "  x      no effect        0      10"
    assert figures_of(35) == "  x      no effect        0      10"
    assert figures_of(34) == "  x      no effect      10"


def judged():
    """Returns an entry with two claims, and one that was never run."""
    tested = {
        "statement": "It helps.",
        "on": "noisy",
        "verdict": "reproduced",
        "mean": 0.0312345,
        "low": 0.00004,
        "high": 0.0612,
        "smallest_effect": 0.01,
    }
    exact = {
        "statement": "Both agree.",
        "on": "",
        "verdict": "opposite",
        "mean": 1e-9,
        "low": None,
        "smallest_effect": None,
    }
    figures = ("reproduced", 0.03, (0.0, 0.06), 10, 1234.5)
    claims = (tested, exact, exact, {**exact, "verdict": "failed"})
    return [
        entry("a", "t", "It helps.", *figures, claims=claims),
        entry("b", "t", "Never run."),
    ]


def test_the_readmes_table_has_the_headline_and_counts_the_other_claims():
    assert listing.headlines(judged()).splitlines() == [
        "| recipe | headline | verdict | effect | other claims | CPU s |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | It helps. (noisy) | reproduced | 0.0312 [0, 0.0612] | "
        "2 opposite, 1 failed | 1,234 |",
    ]


def test_the_table_of_results_has_a_line_for_each_claim_of_a_verdict():
    assert listing.every_claim(judged()).splitlines()[:4] == [
        "| recipe | claim | verdict | effect | seeds | CPU s |",
        "| --- | --- | --- | --- | --- | --- |",
        "| a | It helps. (noisy) | reproduced | 0.0312 [0, 0.0612] | 10 | "
        "1,234 |",
        "| a | Both agree. | opposite |  | 10 | 1,234 |",
    ]


def test_states_are_counts_and_nothing_is_a_dot():
    problems = (Problem(Path("p"), 1, "not JSON"),) * 2
    lines = shown(
        listing.states(
            [
                Health("dice", "p", 20, 1, 4, 2, 3, problems),
                Health("dropout", "p", 0, 0, 0, 0, 0, ()),
            ]
        )
    )
    assert lines == [
        "recipe    finished   failed   stale   attempts   looks   broken",
        "dice            20        1       4          2       3        2",
        "dropout          ·        ·       ·          ·       ·        ·",
    ]


def test_states_of_sixty_columns_keep_their_figures():
    lines = shown(
        listing.states([Health("early_stopping", "p", 120, 1, 4, 2, 3, ())]), 60
    )
    assert lines[:2] == [
        "recipe         finished failed stale attempts looks broken",
        "early_stopping      120      1     4        2     3      ·",
    ]


def test_the_state_of_one_recipe_says_where_its_rows_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / "rows" / "dice.jsonl")
    state = Health("dice", path, 0, 0, 0, 0, 0, ())
    assert shown(listing.states([state]))[-1] == "evidence: rows/dice.jsonl"
    assert len(shown(listing.states([state, state]))) == 3


def test_a_search_shows_each_arms_best_and_its_fresh_seeds():
    def execution(arm, trial):
        return {"arm": arm, "trial": trial}

    search = Search(
        recipe="bowl",
        objective="val_error at the best val_loss",
        best={
            "plain": {
                "hyperparameters": {"rate": 0.0123456, "units": 32},
                "score": 0.25,
                "rerun": 0.275,
            },
            "fixed": {"hyperparameters": {}, "score": 0.5, "rerun": 0.75},
            "broken": {
                "hyperparameters": {},
                "score": math.nan,
                "rerun": math.nan,
            },
        },
        # Two executions of one trial are one trial.
        executions=[
            execution("fixed", "00"),
            execution("plain", "00"),
            execution("plain", "00"),
            execution("plain", "01"),
            execution("broken", "00"),
        ],
        edge_warnings=["plain: the best units, 32, lies at an end"],
        path=Path("evidence/bowl.search.jsonl"),
        failures={"ValueError: a": 3, "OSError: b": 1, "c": 1, "d": 1},
    )
    assert shown(listing.search(search)) == [
        "bowl: lowest mean val_error at the best val_loss",
        "",
        "arm      best settings            score   fresh seeds   trials",
        "plain    rate=0.01235, units=32    0.25         0.275        2",
        "fixed    nothing to search          0.5          0.75        1",
        "broken   no trial succeeded           -             -        1",
        "plain: the best units, 32, lies at an end",
        "3 runs failed: ValueError: a",
        "1 run failed: OSError: b",
        "1 run failed: c",
        "Put the best settings into `tuned=` of each arm, then run.",
        "rows: evidence/bowl.search.jsonl",
    ]
