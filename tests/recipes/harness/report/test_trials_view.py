import math

from keras_regimen.recipes.harness.report.quantity import MISSING
from keras_regimen.recipes.harness.report.search_dossier import read_search
from keras_regimen.recipes.harness.report.trials_view import trials_view


def texts(row):
    return [text for text, _ in row["cells"]]


def test_every_trial_has_its_score_its_runs_and_its_values(hunt):
    found = trials_view(read_search(hunt()))
    assert [name for name, _ in found["columns"]] == [
        "trial",
        "score",
        "each run",
        "state",
        "rate",
        "shape",
        "depth",
    ]
    assert [figures for _, figures in found["columns"]][3:] == [
        False,
        True,
        False,
        True,
    ]
    first, second, _ = found["rows"]
    assert texts(first) == [
        "00",
        "0.7",
        "0.8, 0.6",
        "finished",
        "0.5",
        "flat",
        MISSING,
    ]
    assert [row["best"] for row in found["rows"]] == [False, True, False]
    assert texts(second)[-1] == "4"


def test_a_column_is_sorted_by_figures_and_what_is_missing_stands_last(hunt):
    found = trials_view(read_search(hunt()))
    keys = [[key for _, key in row["cells"]] for row in found["rows"]]
    assert [float(key[0]) for key in keys] == [1, 2, 3]
    assert [float(key[4]) for key in keys] == [0.5, 0.1, 0.02]
    assert [key[5] for key in keys] == ["flat", "deep", "flat"]
    assert [float(key[6]) for key in keys] == [math.inf, 4, math.inf]


def test_what_became_of_a_trial_is_said(hunt):
    path = hunt(
        [
            ({"rate": 0.1}, [0.5, 0.5], []),
            ({"rate": 0.2}, [0.1, 0.1], [], {"ended": 2}),
            ({"rate": 0.3}, [0.1, math.nan], []),
            ({"rate": 0.4}, [0.1, 0.1], [], {"status": "failed"}),
            ({"rate": 0.5}, [0.1], []),
        ]
    )
    words = [texts(row)[3] for row in trials_view(read_search(path))["rows"]]
    assert words == [
        "finished",
        "ended early",
        "no score",
        "failed",
        "unfinished",
    ]


def test_hyperbands_trials_have_their_epochs(hunt):
    short, long = {"allowance": {"epochs": 1}}, {"allowance": {"epochs": 3}}
    path = hunt(
        [
            ({"rate": 0.1}, [0.1], [], short),
            ({"rate": 0.1}, [0.5], [], long),
        ]
    )
    found = trials_view(read_search(path))
    assert [name for name, _ in found["columns"]][-2:] == ["epochs", "rate"]
    assert [texts(row)[2:4] for row in found["rows"]] == [
        ["trained less", "1"],
        ["finished", "3"],
    ]
    assert [row["best"] for row in found["rows"]] == [False, True]
