import math
from pathlib import Path

from keras_regimen.recipes.harness.contract.claim import Claim
from keras_regimen.recipes.harness.contract.metrics import at_best_epoch
from keras_regimen.recipes.harness.engine.plan import Plan
from keras_regimen.recipes.harness.terminal.arms import arms_table
from keras_regimen.recipes.harness.terminal.console import plain
from keras_regimen.recipes.harness.verdict.result import Result

CLAIM = Claim(
    "It lowers the error.",
    source="nobody",
    treatment="new",
    baseline="old",
    metric=at_best_epoch("test_error"),
    better="lower",
    smallest_effect=0.02,
)


def lines_of(curves, width=80, condition="noisy", failed=()):
    """Returns the table of arms whose seeds have these validation losses."""
    rows = [
        {
            "id": f"{arm}{seed}",
            "arm": arm,
            "seed": seed,
            "data": condition,
            "status": "failed" if (arm, seed) in failed else "done",
            "curves": {"val_loss": curve, "test_error": curve},
            "cost": {"cpu_seconds": 1.5},
        }
        for arm, by_seed in curves.items()
        for seed, curve in enumerate(by_seed)
    ]
    plan = Plan(
        recipe="demo",
        file="demo.py",
        summary="",
        scale="cpu",
        seeds=2,
        claims=(CLAIM,),
        arms={arm: {condition: {}} for arm in curves},
        conditions=(condition,),
        cells=(),
        space={},
        code="",
    )
    result = Result(plan, rows, (), 0, Path("demo.jsonl"))
    return plain(arms_table(result, condition), width).splitlines()


def test_each_arm_has_its_figure_and_its_mean_curve():
    # Means of the epochs: 9, 5, 1 and 1, 3, 5. Best epochs: 2 and 0, 2 and 0;
    # sd of 0 and 2 is the square root of 2.
    lines = lines_of(
        {"new": [[8, 4, 0], [10, 6, 2]], "old": [[0, 2, 4], [2, 4, 6]]}
    )
    assert lines == [
        "test_error at the best val_loss on noisy",
        "arm   mean ± sd   val_loss   seeds   CPU s",
        "new    1 ± 1.41   █▅▁            2     1.5",
        "old    1 ± 1.41   ▁▅█            2     1.5",
    ]


def test_where_it_gets_narrow_the_curves_go():
    curves = {"new": [[8, 4, 0]], "old": [[0, 2, 4]]}
    assert "val_loss" in lines_of(curves, width=42)[1]
    lines = lines_of(curves, width=41)
    assert lines[1:] == [
        "arm   mean ± sd   seeds   CPU s",
        "new           0       1     1.5",
        "old           0       1     1.5",
    ]


def test_arms_share_the_epochs_and_end_with_half_of_their_seeds():
    # The second arm's third epoch is that of one seed of three.
    lines = lines_of(
        {
            "long": [[4, 3, 2, 1]] * 3,
            "short": [[2, 1, 9], [2, 1], [2, 1]],
            "half": [[2, 1, 2], [2, 1], [2, 1, 2], [2, 1]],
        },
        condition="",
    )
    assert lines[0] == "test_error at the best val_loss"
    assert [line[20:24] for line in lines[2:]] == ["█▆▃▁", "█▁  ", "█▁█ "]


def test_failed_runs_and_lost_values_are_in_no_mean():
    nan = math.nan
    lines = lines_of(
        {"new": [[4, nan, 0], [4, 2, nan], [9, 9, 90]], "old": [[1, 2, 4]]},
        failed={("new", 2)},
    )
    assert "█▅▁" in lines[2]
    assert "2, 1 failed" in lines[2]
