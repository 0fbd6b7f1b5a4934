"""What is to be run: a recipe's cells, refused at the door if they cannot."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..contract.claim import Claim, Exact
from ..refusal import RefusalError
from .cell import Cell, digest


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
        notes: What was found in the user's data, in sentences.
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

    @property
    def attempt(self) -> str:
        """Stands for this code with these settings, whatever the seeds."""
        cell = self.cells[0]
        claims = [  # Their words change no test.
            str(replace(claim, statement="", source=""))
            for claim in self.claims
        ]
        return digest(
            [
                self.code,
                cell.backend,
                self.scale,
                claims,
                self.arms,
                self.conditions,
            ]
        )


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

    Returns:
        A `Plan`.

    Raises:
        RefusalError: If an arm, a data name or a hyperparameter is unknown,
            or a value is outside of its declared range.
    """
    from ..datasets.data_source import own_data
    from ..evidence import source
    from ..evidence.discovery import load

    recipe = load(file)
    at_scale = recipe.at(scale)
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
    chosen, space = _tried(
        recipe, at_scale, chosen, settings or {}, file, searching, own
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
        as_declared=not arms and data is None and not settings,
        notes=(own.sentence,) if own else (),
    )


def _tried(recipe, at_scale, arms, settings, file, searching, own_data):
    """Builds each arm once, so that a bad setting is refused before the run.

    Returns the settings of each arm (those of the user only where the arm
    asks for them), and what remains free for a search.
    """
    from ..contract.hyperparameters import HyperParameters
    from ..contract.recipe import resolve
    from ..contract.splits import Data
    from ..datasets.data_source import condition
    from ..evidence.source import named_hyperparameters
    from .training import prepared

    def try_arm(hp, data_name):
        if recipe.measure is not None:
            if settings or searching:
                recipe.measure(hp, 0)
            return settings or searching
        source = own_data or condition(at_scale.data, data_name)
        splits = source(0)
        data = Data(splits.to(recipe.takes, recipe.target))
        prepared(recipe, hp, data, seed=0)
        for setting in vars(at_scale).values():
            if not isinstance(setting, Mapping):
                resolve(setting, hp)
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
    space = {
        arm: [
            {"kind": type(free).__name__, **free.get_config()}
            for free in tried[arm, next(iter(by_condition))].free()
        ]
        for arm, by_condition in arms.items()
    }
    return given, space


def _backend() -> str:
    import keras

    return keras.backend.backend()
