import pytest

from keras_regimen.recipes.harness.refusal import RefusalError
from keras_regimen.recipes.harness.tuning.oracle import (
    ask,
    make_oracle,
    planned_trials,
    planned_work,
    searched_values,
)

RATE = {
    "kind": "Float",
    "name": "rate",
    "default": 0.1,
    "conditions": [],
    "min_value": 0.0,
    "max_value": 1.0,
    "step": None,
    "sampling": "linear",
}
DEPTH = {
    "kind": "Choice",
    "name": "depth",
    "default": 2,
    "conditions": [],
    "values": [2, 4, 8],
    "ordered": True,
}
WIDE = {
    "kind": "Boolean",
    "name": "wide",
    "default": False,
    "conditions": [],
}


def finish(oracle, trial, score):
    trial.status = "COMPLETED"
    oracle.update_trial(trial.trial_id, {"score": score})
    oracle.end_trial(trial)


def run(oracle, in_flight=1, score=lambda values: values.get("rate", 0.0)):
    """Asks and tells with some trials in flight; returns what was asked."""
    asked, running = [], []
    while True:
        trial = ask(oracle, f"{len(asked)}")
        if trial.status == "RUNNING":
            asked.append(trial)
            running.append(trial)
            if len(running) < in_flight:
                continue
        elif trial.status == "STOPPED" and not running:
            return asked
        trial = running.pop(0)
        finish(oracle, trial, score(searched_values(trial)))


@pytest.mark.parametrize("tuner", ["random", "bayesian"])
def test_the_same_seed_asks_the_same_zero_included(tuner):
    def values(seed):
        oracle = make_oracle(tuner, [RATE, DEPTH], 9, seed, "min")
        return [searched_values(trial) for trial in run(oracle)]

    assert values(0) == values(0)
    assert values(0) != values(1)
    assert len(values(0)) == 9


@pytest.mark.parametrize("in_flight", [1, 2, 5])
def test_a_grid_is_the_same_however_many_run_at_a_time(in_flight):
    """KerasTuner's own waits for each trial before it asks for the next."""
    oracle = make_oracle("grid", [DEPTH, WIDE], 50, 0, "min")
    assert planned_trials(oracle) == planned_work(oracle) == 6
    asked = [tuple(searched_values(t).values()) for t in run(oracle, in_flight)]
    assert asked == [(d, w) for d in (2, 4, 8) for w in (False, True)]


def test_hyperband_asks_for_the_brackets_of_the_paper():
    """R = 9, eta = 3: Table 1 of Li et al., 2018, for a smaller R."""
    oracle = make_oracle("hyperband", [RATE], 1, 0, "min", epochs=9)
    epochs = [t.hyperparameters.values["tuner/epochs"] for t in run(oracle)]
    # Three brackets: 9 of 1 epoch, 3 of 3, 1 of 9; 5 of 3, 2 of 9; 3 of 9.
    assert sorted(epochs) == [1] * 9 + [3] * (3 + 5) + [9] * (1 + 2 + 3)
    assert planned_trials(oracle) == len(epochs) == 23
    # What is promoted goes on: 9 x 1, 3 x 2, 1 x 6; 5 x 3, 2 x 6; 3 x 9.
    assert planned_work(oracle) == 21 + 27 + 27


def test_hyperband_promotes_the_best_and_repeats_for_more_trials():
    oracle = make_oracle("hyperband", [RATE], 24, 0, "max", epochs=9)
    trials = run(oracle)
    assert len(trials) == planned_trials(oracle) == 46
    first = trials[:9]
    promoted = {
        t.hyperparameters.values["tuner/trial_id"]
        for t in trials[:13]
        if t.hyperparameters.values["tuner/epochs"] == 3
    }
    best = sorted(first, key=lambda t: -searched_values(t)["rate"])[:3]
    assert promoted == {t.trial_id for t in best}


def test_hyperband_refuses_a_space_with_fewer_points_than_it_begins_with():
    with pytest.raises(RefusalError, match="begins with 9 points.*has 6"):
        make_oracle("hyperband", [DEPTH, WIDE], 1, 0, "min", epochs=9)


def test_the_bayesian_oracle_finds_the_bottom_of_a_bowl():
    def bowl(values):
        return (values["rate"] - 0.3) ** 2

    oracle = make_oracle("bayesian", [RATE], 15, 0, "min")
    found = min(map(bowl, map(searched_values, run(oracle, score=bowl))))
    assert found < 1e-4


def test_oracles_leave_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(make_oracle("random", [RATE], 3, 0, "min"))
    assert list(tmp_path.iterdir()) == []
