"""The plan of a search of one's own model: one arm, no claims."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from ..contract.hyperparameters import HyperParameters
from ..contract.recipe import resolve
from ..contract.splits import Data, Splits
from ..datasets.data_source import condition, own_data
from ..engine.budget import OBJECTIVE, Budget
from ..engine.cell import Cell
from ..engine.computation import Computation
from ..engine.computing import computing
from ..engine.fitting import Fitting, evaluated
from ..engine.limits import remarks, undivided, why_refused
from ..engine.own_fit import fit_own
from ..engine.plan import Plan
from ..engine.training import prepared
from ..refusal import RefusalError
from .model_recipe import ARM, ModelRecipe
from .space import explore

# Rows that a HyperModel's own `fit` is tried on, for what it asks of `hp`.
_TRIED_ROWS = 32


def make_model_plan(
    make_recipe: Callable[[], ModelRecipe],
    name: str,
    code: str,
    *,
    scale: str,
    data: str,
    source: Callable[[int], Any] | None,
    folder: Path,
    data_dir: Path,
    settings: Mapping[str, Any],
    computation: Computation,
) -> Plan:
    """Plans the search of a model, trying its defaults on the way.

    Args:
        make_recipe: Makes the model's recipe.
        name: String. What its rows go by.
        code: String. The hash of its source.
        scale: String.
        data: String. The name of its data, or what `--data` was given.
        source: Optional function `seed -> Splits`; else `data` says.
        folder: Where relative paths of data begin.
        data_dir: Where TensorFlow Datasets are.
        settings: Hyperparameters that are not searched.
        computation: How its cells compute.

    Raises:
        RefusalError: If the defaults cannot be built, or a setting is one
            that nothing asks for.
    """
    recipe = make_recipe()
    if recipe.own_fit is not None and computation.strategy is not None:
        raise RefusalError(
            f"{name} brings its own `fit`, whose batches no strategy shares "
            f"out. Received: strategy={computation.strategy!r}"
        )
    notes: tuple[str, ...] = ()
    if source is None:
        own = own_data((), data, folder, data_dir)
        if own is not None:
            data, source, notes = own.name, own, (own.sentence,)
        else:
            source = condition({}, data)
    splits = source(0)
    fit = recipe.at(scale)

    first = HyperParameters(settings)
    built: set[str] = set()
    returned: set[str] = set()
    remarked: list[str] = []

    def try_default(model: keras.Model) -> None:
        batch_size = resolve(fit.batch_size, first)
        if why := why_refused(model, computation, batch_size):
            raise RefusalError(f"{name}: {why}")
        remarked.extend(remarks(model, computation))
        rows = splits.counts["train"]
        remarked.extend(undivided(rows, batch_size, computation))
        if recipe.own_fit is None and not splits.streamed:
            # Whether what comes out fits the targets shows nowhere before.
            with computing(computation):
                evaluated(model, _few(splits).train, computation.replicas)

    def ask(hp: HyperParameters) -> None:
        model = prepared(
            recipe,  # type: ignore[arg-type]
            hp,
            Data(splits),
            seed=0,
            computation=computation,
        )
        for setting in (fit.epochs, fit.batch_size, fit.callbacks):
            resolve(setting, hp)
        if hp is first:
            try_default(model)
            built.update(hp.declared())
        # What `fit` asks for does not depend on what building asks for.
        elif built.issuperset(hp.given):
            return
        if recipe.own_fit is not None:
            few = _few(splits)
            fitting = Fitting(fit, hp, few, 0, Budget(epochs=1), False)
            returned.update(fit_own(recipe.own_fit, hp, model, fitting))

    try:
        ask(first)
    except RefusalError:
        raise
    except Exception as error:
        raise RefusalError(
            f"{name} cannot be built and fitted with its defaults: "
            f"{type(error).__name__}: {error}"
        ) from error
    space = explore(ask, settings, first)
    if unused := sorted(set(first.unused()) - {c["name"] for c in space}):
        raise RefusalError(
            f"no hyperparameter named {unused[0]!r} in {name}; it asks for "
            + (", ".join(c["name"] for c in space) or "none")
        )
    cell = Cell(
        recipe=name,
        file="",
        arm=ARM,
        seed=0,
        scale=scale,
        data=data,
        settings=dict(settings),
        code=code,
        backend=keras.backend.backend(),
        source=source,
        recipe_from=make_recipe,
        computation=computation.to_json(),
    )
    epochs = resolve(fit.epochs, first)
    return Plan(
        recipe=name,
        file="",
        summary="",
        scale=scale,
        seeds=1,
        claims=(),
        arms={ARM: {data: dict(settings)}},
        conditions=(data,),
        cells=(cell,),
        space={ARM: space},
        code=code,
        as_declared=False,
        notes=(*notes, *remarked),
        computation=computation,
        epochs=epochs,
        returns_score=OBJECTIVE in returned,
    )


def _few(splits: Any) -> Splits:
    if splits.streamed:
        raise RefusalError(
            "a HyperModel with a `fit` of its own needs arrays, and this data "
            "is streamed from the disk"
        )
    train, validation, test = (
        (x[:_TRIED_ROWS], y[:_TRIED_ROWS])
        for x, y in (splits.train, splits.validation, splits.test)
    )
    return Splits(train, validation, test)
