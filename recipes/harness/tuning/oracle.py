"""KerasTuner's oracles, seeded, silent, and without files of their own."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..quiet_import import import_keras
from ..refusal import RefusalError
from .space import hyperparameters, size

TUNERS = ("random", "grid", "bayesian", "hyperband")

# How much Hyperband shortens from one round to the next, as its authors
# propose.
FACTOR = 3

# KerasTuner's oracles end at once without a hyperparameter.
_NOTHING = "nothing to search"


def make_oracle(
    tuner: str,
    space: Sequence[Mapping[str, Any]],
    trials: int,
    seed: int,
    direction: str,
    epochs: int | None = None,
) -> Any:
    """Returns an oracle whose asks follow from its seed and its tells alone.

    Args:
        tuner: One of `TUNERS`.
        space: Configurations, as of `explore`.
        trials: Integer. The most trials; Hyperband goes through its brackets
            as often as it takes for so many.
        seed: Integer, 0 or more.
        direction: `"min"` or `"max"`.
        epochs: Integer. What Hyperband trains its longest trials for.

    Raises:
        RefusalError: If Hyperband has fewer points than it begins with.
    """
    import_keras()
    import keras_tuner
    from keras_tuner import oracles

    hp = hyperparameters(space)
    if not space:
        hp.Fixed(_NOTHING, True)
    shared = {
        "objective": keras_tuner.Objective("score", direction),
        # KerasTuner replaces a seed of 0 by a random one.
        "seed": seed + 1,
        "hyperparameters": hp,
        "allow_new_entries": False,
        # Failures are rows, and a search of nothing else says so at the end.
        "max_consecutive_failed_trials": 10**9,
    }
    if tuner == "hyperband":
        oracle = oracles.HyperbandOracle(
            max_epochs=epochs, factor=FACTOR, **shared
        )
        once = _hyperband_sizes(oracle)
        if space and size(space) < once[0]:
            raise RefusalError(
                f"Hyperband begins with {once[0]} points for {epochs} epochs, "
                f"and this space has {size(space)}: take tuner=grid"
            )
        oracle.hyperband_iterations = math.ceil(trials / once[1])
    else:
        kinds = {
            "random": oracles.RandomSearchOracle,
            "grid": oracles.GridSearchOracle,
            "bayesian": oracles.BayesianOptimizationOracle,
        }
        oracle = kinds[tuner](max_trials=trials, **shared)
    oracle.verbose = 0
    # The journal is what a search goes on from.
    oracle.save = lambda: None
    oracle._save_trial = lambda trial: None
    return oracle


def ask(oracle: Any, name: str) -> Any:
    """Returns an oracle's next trial, or one that is idle or at the end.

    Args:
        oracle: From `make_oracle`.
        name: String, another one for each ask: KerasTuner gives a name that
            is running a trial the same one again.
    """
    trial = oracle.create_trial(name)
    if trial.status == "RUNNING" and _is_grid(oracle):
        # It waits for a trial's end before it asks for the next point, since
        # the trial might bring new hyperparameters. Ours are known before.
        oracle._populate_next.append(trial.trial_id)
    return trial


def planned_trials(oracle: Any) -> int:
    """Returns how many trials an oracle will ask for, at most."""
    if oracle.max_trials is not None:
        return int(min(oracle.max_trials, _grid_size(oracle)))
    return oracle.hyperband_iterations * _hyperband_sizes(oracle)[1]


def planned_work(oracle: Any) -> float:
    """Returns how much all trials train: in epochs where it sets them.

    Otherwise a trial counts as 1. What goes on from a shorter one's end counts
    by its further epochs.
    """
    if oracle.max_trials is not None:
        return planned_trials(oracle)
    epochs = oracle._get_epochs
    return oracle.hyperband_iterations * sum(
        oracle._get_size(b, r) * (epochs(b, r) - (r and epochs(b, r - 1)))
        for b in range(oracle._get_num_brackets())
        for r in range(oracle._get_num_rounds(b))
    )


def searched_values(trial: Any) -> dict[str, Any]:
    """Returns a trial's hyperparameters, without the oracle's own."""
    return {
        name: value
        for name, value in trial.hyperparameters.values.items()
        if name != _NOTHING and not name.startswith("tuner/")
    }


def _grid_size(oracle: Any) -> float:
    if not _is_grid(oracle):
        return math.inf
    points: float = 1
    for hp in oracle.get_space().space:
        points *= sum(1 for _ in hp.values)
    return points


def _is_grid(oracle: Any) -> bool:
    return hasattr(oracle, "_populate_next")


def _hyperband_sizes(oracle: Any) -> tuple[int, int]:
    """Returns the largest first round, and the trials of all brackets."""
    brackets = range(oracle._get_num_brackets())
    rounds = [
        [oracle._get_size(b, r) for r in range(oracle._get_num_rounds(b))]
        for b in brackets
    ]
    return max(r[0] for r in rounds), sum(map(sum, rounds))
