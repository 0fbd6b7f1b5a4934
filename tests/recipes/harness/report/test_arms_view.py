import math

from keras_regimen.recipes.harness.report.arms_view import arms_view
from keras_regimen.recipes.harness.report.dossier import read_dossier


def test_an_arm_has_the_mean_and_spread_of_its_seeds(dice):
    dice.judged()
    found = arms_view(read_dossier(dice.file), "noisy")
    assert found["figure"] == "test error at the end of training"
    loaded, fair = found["rows"]
    # 0.10, 0.12 and 0.08: mean 0.1, sd 0.02.
    assert loaded == {
        "arm": "loaded",
        "settings": [("rate", 0.5)],
        "mean": "10.0 %",
        "sd": "2.0 %",
        "seeds": 3,
        "failed": 0,
        "parameters": "1,234",
        "cpu": "2",
    }
    # 0.14, 0.15 and 0.13.
    assert (fair["mean"], fair["sd"]) == ("14.0 %", "1.0 %")


def test_a_failed_run_is_counted_and_no_figure(dice, cell, verdict):
    dice.append(
        cell("loaded", 0, dice.code),
        cell("loaded", 1, dice.code, status="failed", error="X", final={}),
        cell("fair", 0, dice.code, final={"test_error": math.nan}),
        verdict(dice.code),
    )
    loaded, fair = arms_view(read_dossier(dice.file), "noisy")["rows"]
    assert (loaded["seeds"], loaded["failed"]) == (1, 1)
    assert (loaded["mean"], loaded["sd"]) == ("10.0 %", "\u2013")
    assert fair["mean"] == "\u2013"


def test_without_a_verdict_there_is_no_figure(dice, cell):
    dice.append(cell("fair", 0, dice.code))
    found = arms_view(read_dossier(dice.file), "noisy")
    assert found["figure"] is None
    (row,) = found["rows"]
    assert (row["mean"], row["settings"]) == ("\u2013", [("rate", 0.0)])
