"""One cell, from its seed to its row of evidence."""

import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..contract.hyperparameters import HyperParameters
from ..contract.recipe import Recipe
from ..contract.splits import Data
from ..datasets import data_source
from ..evidence.discovery import load
from ..refusal import RefusalError
from .budget import Budget
from .cell import Cell
from .computation import Computation
from .computing import computing
from .cost import Cost
from .default_seeds import keep_default_seeds
from .environment import environment
from .error_metric import error_logged
from .fitting import AnySplits, Fitting, evaluated, single
from .kept_state import keep_state, load_state
from .kernel_cache import kernels_kept
from .news import Teller
from .own_fit import fit_own
from .pairing import paired
from .reuse import drew_unseeded, forget_unseeded, reuse

# Models built in this process that were not reused: TensorFlow keeps the
# memory of each, so the engine starts a new process after so many.
fresh_models = 0


def run_cell(cell: Cell, teller: Teller | None = None) -> dict[str, Any]:
    """Trains one cell and returns its row.

    An exception becomes a failed row with its traceback: one cell must not
    stop the others.

    Args:
        cell: The cell.
        teller: Optional. Tells how it fares on the way.
    """
    if teller is not None:
        teller.begin()
    cost = Cost()
    row = cell.row()
    keep_default_seeds()
    try:
        recipe = (cell.recipe_from or partial(load, Path(cell.file)))()
        hp = HyperParameters(cell.settings)
        if recipe.measure is not None:
            figures = _measured(recipe.measure, hp, cell)
        else:
            figures = _trained(recipe, hp, cell, teller)
        if not cell.lenient:
            _refuse_unused(hp, cell)
        row |= {"status": "done", "hyperparameters": hp.resolved(), **figures}
    except Exception as error:
        row |= {
            "status": "failed",
            "error": f"{type(error).__name__}: {error}",
            "traceback": traceback.format_exc(),
        }
    row["cost"] = {**row.get("cost", {}), **cost.figures()}
    return row | {"time": _now(), **environment()}


def prepared(
    recipe: Recipe,
    hp: HyperParameters,
    data: Data,
    seed: int,
    computation: Computation | None = None,
) -> keras.Model:
    """Returns the recipe's model, built, compiled and paired by seed."""
    if recipe.build is None:
        raise RefusalError("A recipe that measures builds no model.")
    with (
        paired(seed) as pair_streams,
        error_logged(recipe.target),
        computing(computation or Computation()),
    ):
        model = recipe.build(hp, data)
        if not isinstance(model, keras.Model) or not model.compiled:
            raise RefusalError(
                "`build` must return a compiled `keras.Model`. "
                f"Received: {type(model).__name__}"
                + (", not compiled" if isinstance(model, keras.Model) else "")
            )
        if not model.built:
            model(keras.KerasTensor((None, *data.input_shape)))
        pair_streams(model)
    return model


def _measured(measure: Callable, hp: HyperParameters, cell: Cell) -> dict:
    keras.utils.set_random_seed(cell.seed)
    values = measure(hp, cell.seed)
    return {"values": _plain_numbers(values, "measure")}


def _trained(
    recipe: Recipe, hp: HyperParameters, cell: Cell, teller: Teller | None
) -> dict:
    global fresh_models
    settings = recipe.at(cell.scale)
    source = cell.source or data_source.condition(settings.data, cell.data)
    splits = source(cell.seed).to(recipe.takes, recipe.target)
    data = Data(splits)
    computation = Computation(**cell.computation)
    model = prepared(recipe, hp, data, cell.seed, computation)
    if recipe.train is None and not data.arrays_read:
        model, reused = reuse(model, hp, cell, splits)
    else:
        reused = False
    fresh_models += not reused

    fitting = Fitting(
        settings,
        hp,
        splits,
        cell.seed,
        cell.budget,
        recipe.reports_test,
        computation,
        teller,
    )
    with kernels_kept():
        keras.utils.set_random_seed(cell.seed)
    values = {}
    trained = model
    with computing(computation):
        if recipe.own_fit is not None:
            values = fit_own(recipe.own_fit, hp, model, fitting)
        elif recipe.train is None:
            _fit(model, fitting, cell)
        else:
            with error_logged(recipe.target):
                trained = recipe.train(hp, model, data, fitting.fit)
        if recipe.evaluate is not None:
            values = recipe.evaluate(hp, trained, splits)
        final = _evaluated(
            trained, splits, recipe.reports_test, computation.replicas
        )
    return {
        **fitting.figures(),
        "final": final,
        "values": _plain_numbers(values, "evaluate"),
        "items": splits.counts,
        "chance": _chance(splits, recipe.target or splits.target),
        "parameters": trained.count_params(),
        "fingerprint": splits.fingerprint,
        "source": data_source.label(source),
    }


def _fit(model: keras.Model, fitting: Fitting, cell: Cell) -> None:
    """Fits; a search's longer trial goes on where the shorter one ended."""
    budget = cell.budget or Budget()
    exact = budget.folder is not None and fitting.can_go_on(model)
    folder = Path(budget.folder or "")
    if exact and budget.start is not None:
        load_state(folder, budget.start, model, fitting)
    fitting.fit(model, initial_epoch=len(fitting.seconds))
    if exact and fitting.plain_fit is None and not drew_unseeded():
        keep_state(folder, cell.id, model, fitting)
    forget_unseeded(model)


def _evaluated(
    model: keras.Model, splits: AnySplits, with_test: bool, replicas: int
) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, part in (
        ("train", splits.train),
        ("val", splits.validation),
        *([("test", splits.test)] if with_test else []),
    ):
        logs = evaluated(model, part, replicas)
        figures |= {f"{name}_{k}": single(v) for k, v in logs.items()}
    return figures


def _refuse_unused(hp: HyperParameters, cell: Cell) -> None:
    if hp.unused():
        raise RefusalError(
            f"arm {cell.arm!r} sets {', '.join(hp.unused())}, which nothing "
            f"asks for; known are {', '.join(hp.declared()) or 'none'}"
        )


def _chance(splits: AnySplits, target: str) -> float:
    """Returns the test error of the best constant prediction."""
    labels, test = splits.labels["train"], splits.labels["test"]
    if target == "real":
        return float(np.sqrt(np.mean((test - labels.mean(axis=0)) ** 2)))
    kinds, counts = np.unique(labels, return_counts=True)
    return float(np.mean(test != kinds[counts.argmax()]))


def _plain_numbers(values: Any, hook: str) -> dict[str, float]:
    if not isinstance(values, dict):
        raise RefusalError(
            f"`{hook}` must return a dictionary of numbers by name. "
            f"Received: {type(values).__name__}"
        )
    return {name: float(value) for name, value in values.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
