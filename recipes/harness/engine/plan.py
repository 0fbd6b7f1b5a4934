"""What is to be run: a recipe's cells, refused at the door if they cannot."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..contract.claim import Claim, Exact
from ..refusal import RefusalError
from .cell import Cell, digest
from .computation import Computation


@dataclass(frozen=True)
class Plan:
    """A recipe at one scale: plain values that need no Keras to be read.

    Args:
        recipe: String. The recipe's name.
        file: String. Its script.
        summary: String. The first line of the script's docstring.
        scale: String.
        seeds: Integer. Seeds per arm that a verdict needs.
        claims: The claims, each with its data condition filled in.
        arms: The settings of each arm, by its name and the data condition.
        conditions: The names of the data conditions.
        cells: Every cell, in the order in which they are run: all arms of a
            seed before the next seed, so that what is interrupted is paired.
        space: For each arm the configurations of what a search may vary.
        code: String. The hash of the code that the numbers depend on.
        as_declared: Whether the user chose no arms, data or settings: the
            word on such a plan is the recipe's own.
        notes: What was found in the user's data, and what a strategy does
            otherwise, in sentences.
        computation: How its cells compute.
        declared: All claims of the recipe, whatever was chosen of it.
        epochs: How long a run trains by the recipe's defaults; None where it
            trains in a way of its own.
        returns_score: Whether a model's own `fit` returns what it is judged
            by, which no curve tells before.
    """

    recipe: str
    file: str
    summary: str
    scale: str
    seeds: int
    claims: tuple[Claim | Exact, ...]
    arms: Mapping[str, Mapping[str, dict[str, Any]]]
    conditions: tuple[str, ...]
    cells: tuple[Cell, ...]
    space: Mapping[str, list[dict[str, Any]]]
    code: str
    as_declared: bool = True
    notes: tuple[str, ...] = ()
    computation: Computation = field(default_factory=Computation)
    declared: tuple[Claim | Exact, ...] = ()
    epochs: int | None = None
    returns_score: bool = False

    @property
    def attempt(self) -> str:
        """Stands for this code with these settings, whatever the seeds."""
        cell = self.cells[0]
        claims = [  # Their words change no test.
            str(replace(claim, statement="", source=""))
            for claim in self.claims
        ]
        parts = [
            self.code,
            cell.backend,
            self.scale,
            claims,
            self.arms,
            self.conditions,
        ]
        # Not a part of plain ones, whose attempts are older than the word.
        return digest(parts + [cell.computation] * bool(cell.computation))


def make_plan(
    file: Path,
    code: str,
    scale: str = "cpu",
    seeds: int | None = None,
    arms: Sequence[str] = (),
    data: str | None = None,
    settings: Mapping[str, Any] | None = None,
    searching: bool = False,
    data_dir: Path | None = None,
    folder: Path = Path(),
    computation: Computation | None = None,
) -> Plan:
    """Reads a recipe and returns its cells, having tried each arm once.

    It imports the recipe and builds each arm's model, so it runs where Keras
    is: in a worker.

    Args:
        file: The recipe's script.
        code: The hash of the code that it depends on.
        scale: The scale's name.
        seeds: Seeds per arm, the recipe's own by default.
        arms: Names; all by default.
        data: What stands in for the recipe's own data: a name, or a path.
        settings: Hyperparameters of the user, for each arm that asks.
        searching: Whether to leave free what an arm has tuned.
        data_dir: Where TensorFlow Datasets are.
        folder: Where relative paths of data begin.
        computation: How cells compute, with the number of devices filled in.

    Returns:
        A `Plan`.

    Raises:
        RefusalError: If an arm, a data name or a hyperparameter is unknown,
            a value is outside of its declared range, or an arm's model cannot
            compute as asked.
    """
    from ..datasets.data_source import own_data
    from ..evidence import source
    from ..evidence.discovery import load

    computation = computation or Computation()
    recipe = load(file)
    at_scale = recipe.at(scale)
    if recipe.measure is not None and (
        computation != Computation(deterministic=computation.deterministic)
    ):
        raise RefusalError(
            f"{file.stem} measures, and has no model to train otherwise. "
            f"Received: {computation}"
        )
    for arm in arms:
        if arm not in recipe.arms:
            raise RefusalError(
                f"no arm named {arm!r} in {file.stem}; it has "
                + ", ".join(recipe.arms)
            )
    declared = tuple(at_scale.data)
    own = None
    if data is not None:
        if recipe.measure is not None:
            raise RefusalError(
                f"{file.stem} measures without data. Received: data={data!r}"
            )
        real = recipe.target == "real"
        own = own_data(declared, data, folder, data_dir, real)
        data = own.name if own else data
    conditions = declared if data is None else (data,)
    chosen = {
        name: {
            condition: dict(arm.fixed) if searching else arm.on(condition)
            for condition in conditions
        }
        for name, arm in recipe.arms.items()
        if not arms or name in arms
    }
    claims: dict[Any, Claim | Exact] = {}
    foreign = not set(conditions) <= set(declared)
    for claim in recipe.claims:
        if data in declared and claim.on not in (None, data):
            continue  # It is about another of the recipe's own data.
        if set(claim.arms) <= set(chosen):
            on = claim.on if claim.on in conditions else conditions[0]
            # On foreign data, what was said of several is said once.
            key = (claim.arms, claim.metric.label) if foreign else len(claims)
            claims.setdefault(key, replace(claim, on=on))
    chosen, space, remarked = _tried(
        recipe,
        at_scale,
        chosen,
        settings or {},
        file,
        searching,
        own,
        computation,
    )
    backend = _backend()
    cells = [
        Cell(
            recipe=file.stem,
            file=str(file),
            arm=arm,
            seed=seed,
            scale=scale,
            data=condition,
            settings=by_condition[condition],
            code=code,
            backend=backend,
            source=own,
            computation=computation.to_json(),
        )
        for seed in range(seeds or at_scale.seeds)
        for condition in conditions
        for arm, by_condition in chosen.items()
    ]
    return Plan(
        recipe=file.stem,
        file=str(file),
        summary=source.describe_source(file).summary,
        scale=scale,
        seeds=seeds or at_scale.seeds,
        claims=tuple(claims.values()),
        arms=chosen,
        conditions=conditions,
        cells=tuple(cells),
        space=space,
        code=code,
        as_declared=not arms
        and data is None
        and not settings
        and computation == Computation(),
        notes=(*((own.sentence,) if own else ()), *remarked),
        computation=computation,
        declared=recipe.claims,
        epochs=_epochs(recipe, at_scale, chosen),
    )


def _epochs(recipe, at_scale, arms):
    """Returns how long a plain fit of the recipe trains by its defaults."""
    from ..contract.hyperparameters import HyperParameters
    from ..contract.recipe import resolve

    if recipe.build is None or recipe.train is not None:
        return None
    settings = next(iter(next(iter(arms.values())).values()))
    return resolve(at_scale.epochs, HyperParameters(settings))


def _tried(
    recipe, at_scale, arms, settings, file, searching, own_data, computation
):
    """Builds each arm once, so that a bad setting is refused before the run.

    Returns the settings of each arm (those of the user only where the arm
    asks for them), what remains free for a search, and remarks on what the
    computation does otherwise.
    """
    from ..contract.hyperparameters import HyperParameters
    from ..contract.recipe import resolve
    from ..contract.splits import Data
    from ..datasets.data_source import condition
    from ..evidence.source import named_hyperparameters
    from ..tuning.space import explore
    from .limits import remarks, undivided, why_refused
    from .training import prepared

    remarked = {}

    def try_arm(hp, data_name):
        if recipe.measure is not None:
            if settings or searching:
                recipe.measure(hp, 0)
            return settings or searching
        source = own_data or condition(at_scale.data, data_name)
        splits = source(0)
        data = Data(splits.to(recipe.takes, recipe.target))
        model = prepared(recipe, hp, data, seed=0, computation=computation)
        for setting in vars(at_scale).values():
            if not isinstance(setting, Mapping):
                resolve(setting, hp)
        batch_size = resolve(at_scale.batch_size, hp)
        if why := why_refused(model, computation, batch_size):
            raise RefusalError(f"{file.stem}, arm {arm!r}: {why}")
        found = [
            *remarks(model, computation),
            *undivided(splits.counts["train"], batch_size, computation),
        ]
        remarked.update(dict.fromkeys(found))
        return True

    tried, unused = {}, []
    for arm, by_condition in arms.items():
        for data_name, own in by_condition.items():
            hp = tried[arm, data_name] = HyperParameters({**own, **settings})
            try:
                if try_arm(hp, data_name):
                    unused += [(arm, name) for name in hp.unused()]
            except RefusalError:
                raise
            except Exception:
                # The recipe's own fault: its cells become rows that say so.
                logging.getLogger(__name__).debug(arm, exc_info=True)
    asked = {name for hp in tried.values() for name in hp.declared()}
    # The hooks may ask for more than building does.
    known = sorted(asked | set(named_hyperparameters(file)))
    for arm, name in unused:
        if name not in known:
            raise RefusalError(
                f"no hyperparameter named {name!r} in {file.stem} (arm "
                f"{arm!r}); it asks for {', '.join(known) or 'none'}"
            )

    def asks(arm, data_name, name):
        return name in tried[arm, data_name].declared() or name not in asked

    given = {
        arm: {
            data_name: own
            | {n: v for n, v in settings.items() if asks(arm, data_name, n)}
            for data_name, own in by_condition.items()
        }
        for arm, by_condition in arms.items()
    }

    def space_of(arm, condition_name, own):
        hp = tried[arm, condition_name]
        if recipe.measure is not None or not searching:
            # A measurement is not made again and again to find names.
            return explore(lambda hp: None, {}, hp)
        return explore(
            lambda hp: try_arm(hp, condition_name), {**own, **settings}, hp
        )

    space = {
        arm: space_of(arm, *next(iter(by_condition.items())))
        for arm, by_condition in arms.items()
    }
    return given, space, remarked


def _backend() -> str:
    import keras

    return keras.backend.backend()
