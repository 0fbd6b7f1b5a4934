import io
import re
from dataclasses import replace
from pathlib import Path

import pytest

from keras_regimen.recipes.harness.contract.claim import Claim, Exact
from keras_regimen.recipes.harness.contract.metrics import value
from keras_regimen.recipes.harness.engine.cell import Cell
from keras_regimen.recipes.harness.engine.plan import Plan
from keras_regimen.recipes.harness.terminal.console import show
from keras_regimen.recipes.harness.terminal.terminal import (
    render,
    view,
)
from keras_regimen.recipes.harness.verdict.comparison import Comparison, Side
from keras_regimen.recipes.harness.verdict.result import Result
from keras_regimen.recipes.harness.verdict.verdict import Verdict

CLAIM = Claim(
    "It lowers the error.",
    source="nobody",
    treatment="new",
    baseline="old",
    metric=value("x"),
    better="lower",
    smallest_effect=0.02,
    on="noisy",
)
SIDES = (
    Side("new", (0.11, 0.14, 0.11), 0, 0, {}),
    Side("old", (0.15, 0.16, 0.14), 0, 0, {}),
)
VERDICT = Verdict(
    "reproduced",
    "It lies above 0.",
    n=3,
    n_min=6,
    mean=0.03,
    sd=0.0123456,
    low=0.01,
    high=0.05,
    minimum_detectable=0.0299,
)
COMPARISON = Comparison(
    CLAIM,
    done=3,
    seeds=3,
    sides=SIDES,
    verdict=VERDICT,
    improvement=1.0,
    new_data=(-0.00004, 0.0612),
    cost={"updates": 1.0, "evaluations": 1.0, "cpu_seconds": 1.25},
)


def result_of(comparisons=(COMPARISON,), errors=None, **changes):
    """Returns a result whose rows hold what `SIDES` says of the claim."""
    sides = {"new": SIDES[0], "old": SIDES[1]}
    cells = tuple(
        Cell("demo", "demo.py", arm, seed, "cpu", "noisy", {})
        for seed in range(3)
        for arm in sides
    )
    rows = []
    for cell in cells:
        figure = sides[cell.arm].values[cell.seed]
        row = {**cell.row(), "status": "done", "values": {"x": figure}}
        error = (errors or {}).get((cell.arm, cell.seed))
        if error:
            row |= {"status": "failed", "error": error}
        cost = {"new": 2.5, "old": 2.0}[cell.arm]
        rows.append({**row, "cost": {"cpu_seconds": cost}})
    plan = Plan(
        recipe="demo",
        file="demo.py",
        summary="Demo: is new better than old?",
        scale="cpu",
        seeds=3,
        claims=(CLAIM,),
        arms={arm: {"noisy": {}} for arm in sides},
        conditions=("noisy",),
        cells=cells,
        space={},
        code="",
    )
    result = Result(plan, rows, comparisons, 4, Path("evidence/demo.jsonl"))
    return replace(result, **changes)


def claims_of(*comparisons):
    """Returns the lines of the claims alone."""
    text = render(result_of(comparisons))
    text = text.partition("Gains are on")[0].partition("6 of 6 cells")[0]
    return text[text.index("\n1. ") + 1 :].rstrip("\n").splitlines()


def test_a_result_is_drawn_to_the_letter():
    # The bar's reach is 0.05, the upper end, in the 16 columns right of the
    # middle one (17th): 0.01 lies 3 columns to the right, 0.03 ten, and the
    # smallest effect, 0.02, six on either side.
    # new: mean 0.12, sd sqrt(0.0006 / 2); old: mean 0.15, sd 0.01.
    # 0 of 3 collapsed: 1 - 0.05 ** (1 / 3) = 63 %.
    assert render(result_of()) == (
        "demo · Demo: is new better than old?\n"
        "\n"
        "x on noisy\n"
        "arm       mean ± sd   seeds   CPU s\n"
        "new   0.12 ± 0.0173       3     2.5\n"
        "old     0.15 ± 0.01       3       2\n"
        "\n"
        "1. reproduced · x on noisy\n"
        "   It lowers the error.\n"
        "   worse           ┊     │  ━━━╏━━━●━━━━━━ better\n"
        "   gain 0.03 [0.01, 0.05], matters from 0.02\n"
        "     means     new 0.12, old 0.15\n"
        "     pairs     better in 100% of 3, s = 0.0123, detectable 0.0299\n"
        "     cost      1.00 x updates, 1.25 x CPU seconds\n"
        "     new data  [0, 0.0612], from the same source\n"
        "     runs      0 of 3 collapsed (a rate of up to 63%)\n"
        "\n"
        "Gains are on this data and budget, over splits and seeds.\n"
        "6 of 6 cells finished, 4 of them now · cpu scale · 3 seeds\n"
        "evidence: evidence/demo.jsonl"
    )


def test_figures_far_below_the_effect_are_nothing():
    # A hundredth of the unit is 0.0002.
    verdict = replace(
        VERDICT, word="no effect", mean=-1.5e-9, low=-0.00009, high=0.00011
    )
    lines = claims_of(replace(COMPARISON, verdict=verdict))
    assert lines[3] == "   gain 0 [0, 1.10e-04], matters from 0.02"


def test_gradient_evaluations_are_told_where_they_are_no_updates():
    cost = {"updates": 1.0, "evaluations": 2.0, "cpu_seconds": 0.333}
    lines = claims_of(replace(COMPARISON, cost=cost, improvement=0.75))
    assert "     pairs     better in 75% of 3, s = " in lines[5]
    assert lines[6] == (
        "     cost      1.00 x updates, 2.00 x gradient evaluations, 0.33 x "
        "CPU seconds"
    )


def test_runs_that_learned_nothing_are_named_and_bound_no_rate():
    sides = (replace(SIDES[0], missed=2, collapsed=1), SIDES[1])
    lines = claims_of(replace(COMPARISON, sides=sides))
    assert lines[-2:] == [
        "     runs      2 of 3 of new never got there",
        "     runs      1 of 3 of new learned nothing",
    ]


def test_while_seeds_are_missing_their_number_stands_for_the_word():
    waiting = Comparison(CLAIM, done=1, seeds=3, sides=SIDES)
    lines = claims_of(waiting)
    assert lines == [
        "1. 1 of 3 seeds · x on noisy",
        "   It lowers the error.",
        "     means  new 0.12, old 0.15",
    ]


def test_at_smoke_scale_there_is_no_word():
    result = result_of([Comparison(CLAIM, 3, 3, SIDES)])
    result = replace(result, plan=replace(result.plan, scale="smoke"))
    assert "\n1. no verdict at smoke scale · x on noisy\n" in render(result)


def test_words_without_a_decision_come_with_their_reason():
    verdict = replace(VERDICT, word="underpowered", reason="Too few pairs.")
    lines = claims_of(replace(COMPARISON, verdict=verdict))
    assert lines[0].startswith("1. underpowered · ")
    assert lines[4] == "   Too few pairs."
    # The interval, which is in the reason, stands above.
    verdict = replace(verdict, seeds_likely=96, seeds_sure=1400)
    lines = claims_of(replace(COMPARISON, verdict=verdict))
    assert lines[4] == "   96 seeds would likely decide, 1,400 surely"
    failed = Verdict("failed", "1 of 6 runs failed.", 3, 6)
    assert claims_of(Comparison(CLAIM, 3, 3, (), failed)) == [
        "1. failed · x on noisy",
        "   It lowers the error.",
        "   1 of 6 runs failed.",
        "     runs  0 of 3 collapsed (a rate of up to 63%)",
    ]


def test_claims_are_numbered_and_an_exact_one_has_its_reason_alone():
    exact = Exact("Equal.", "nobody", value("x"), at_most=1e-6, on="")
    reason = "The largest of 3 values is 1e-09, within 1e-06."
    verdict = Verdict("reproduced", reason, 3, 1, mean=1e-9)
    lines = claims_of(COMPARISON, Comparison(exact, 3, 3, SIDES, verdict))
    assert lines[-4:] == [
        "",
        "2. reproduced · x",
        "   Equal.",
        f"   {reason}",
    ]


def test_failed_cells_are_listed_by_their_reason():
    broke, fell = "ValueError: it broke", "OSError: it fell"
    errors = {("new", 0): broke, ("old", 1): fell, ("new", 2): broke}
    text = render(result_of([], errors))
    # (0.15 + 0.14) / 2 and 0.01 / sqrt(2): old/1 is 0.16.
    assert "\nnew              0.14   1, 2 failed     2.5\n" in text
    assert "\nold   0.145 ± 0.00707   2, 1 failed       2\n" in text
    assert (
        "\n3 cells failed\n"
        "  noisy/new/0, noisy/new/2: ValueError: it broke\n"
        "  noisy/old/1: OSError: it fell\n"
        "  --retry-failed runs them again\n\n"
    ) in text
    assert "\n1 cell failed\n" in render(result_of([], {("new", 0): broke}))


def test_brackets_in_a_reason_are_no_markup():
    text = render(result_of([], {("new", 0): "KeyError: [bold] [/red] :boom:"}))
    assert "noisy/new/0: KeyError: [bold] [/red] :boom:" in text


LONG = "a_name_without_any_place_to_break_it_" * 4


def test_long_names_and_paths_stay_in_80_columns_and_keep_their_letters():
    claim = replace(
        CLAIM,
        statement=f"Does {LONG} help?",
        metric=value(LONG),
        on=LONG,
    )
    sides = tuple(replace(side, arm=LONG) for side in SIDES)
    result = result_of([replace(COMPARISON, claim=claim, sides=sides)])
    plan = replace(
        result.plan,
        recipe=LONG,
        arms={LONG: {LONG: {}}},
        conditions=(LONG,),
        claims=(claim,),
    )
    result = replace(result, plan=plan, path=Path("evidence", LONG))
    rows = [
        {**row, "arm": LONG, "data": LONG, "values": {LONG: row["values"]["x"]}}
        for row in result.rows
    ]
    rows[0] |= {"status": "failed", "error": LONG}
    text = render(replace(result, rows=rows))
    assert max(len(line) for line in text.splitlines()) <= 80
    # The path stays one that can be put together again.
    _, _, path = text.partition("evidence:")
    assert path.replace("\n", "") == f"evidence/{LONG}"
    # The names give way to the figures, here of both arms' other 5 rows:
    # 0.7 / 5, sqrt(0.0014 / 4), (2 * 2.5 + 3 * 2) / 5.
    assert re.search(r"0\.14 ± 0\.0187 +5, 1 failed +2\.2$", text, flags=re.M)


def no_terminal(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_a_pipe_gets_plain_text_without_trailing_spaces(monkeypatch, capsys):
    no_terminal(monkeypatch)
    result = result_of()
    show(view(result))
    printed = capsys.readouterr().out
    assert printed == result.table + "\n"
    assert "\x1b" not in printed
    assert not re.search(r" $", printed, flags=re.M)


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("plain", [False, True])
def test_colours_go_to_a_terminal_that_wants_them(monkeypatch, plain):
    no_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if plain:
        monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    show(view(result_of()))
    green, word = "\x1b[1;32m", "reproduced"
    assert (green + word in screen.getvalue()) is not plain
    assert ("\x1b[" in screen.getvalue()) is not plain
    shown = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines == render(result_of()).splitlines()
