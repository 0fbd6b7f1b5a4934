"""The recipe contract: what a script declares, and the harness runs."""

import copy
import math
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .claim import Claim, Exact

if TYPE_CHECKING:
    from ..verdict.result import Result

# The floor above: called by its name, as `python -m` does.
_COMMAND = __name__.rpartition(".harness")[0] + ".cli"

SCALES = ("smoke", "cpu", "gpu", "full")
_TIMES_THE_SEEDS = {"gpu": 2, "full": 5}
TAKES = ("vector", "image", "sequence")
TARGETS = ("binary", "classes", "real")


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Args:
        fixed: Hyperparameters that the arm is about, by name. Arms of a claim
            differ in one thing. A search leaves them alone.
        tuned: Hyperparameters that a search found on validation data, with
            the same budget for each arm.
        tuned_on: The same by data condition, for a recipe of several: what
            is best where labels are noisy need not be where they are clean.

    Raises:
        ValueError: If a name is both fixed and tuned.

    Example:

    >>> arm = Arm({"rate": 0.5}, tuned_on={"clean": {"learning_rate": 0.1}})
    >>> arm.on("clean"), arm.on("noisy")
    ({'rate': 0.5, 'learning_rate': 0.1}, {'rate': 0.5})
    """

    fixed: Mapping[str, Any] = field(default_factory=dict)
    tuned: Mapping[str, Any] = field(default_factory=dict)
    tuned_on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tuned = {*self.tuned, *(n for t in self.tuned_on.values() for n in t)}
        twice = sorted(set(self.fixed) & tuned)
        if twice:
            raise ValueError(
                "`fixed` and `tuned` must not share a name. "
                f"Received: {', '.join(twice)} in both"
            )

    def on(self, condition: str = "") -> dict[str, Any]:
        """Returns the arm's settings under a data condition."""
        return {
            **self.fixed,
            **self.tuned,
            **self.tuned_on.get(condition, {}),
        }


@dataclass(frozen=True)
class FitSettings:
    """What a recipe's fit arguments are at one scale."""

    data: Mapping[str, Callable[[int], Any]]
    epochs: Any
    batch_size: Any
    steps_per_epoch: Any
    callbacks: Any
    seeds: int


class Recipe:
    """A question about a technique, declared so that it can be run fairly.

    The script that makes one reads like a method section; the harness runs
    its arms over paired seeds and judges the claims. Either `build` (a model
    to be fitted on `data`) or `measure` (nothing is fitted) is given.

    Args:
        claims: List of `Claim` and `Exact`, the headline first.
        arms: Dictionary of `Arm` by name.
        build: Function `(hp, data) -> model` that returns a compiled model.
            `hp` is a `keras_tuner.HyperParameters`: the search space is
            written where it is used. `data` knows `input_shape` and
            `num_classes`.
        measure: Function `(hp, seed) -> dict` of figures by name, instead of
            `build`.
        data: Function `seed -> Splits`, or several in a dictionary by name.
        takes: What one input is: `"vector"`, `"image"` or `"sequence"`. Data
            of another kind are converted, or refused with a sentence.
        target: What is predicted: `"binary"` (float 0 or 1, shape `(n, 1)`),
            `"classes"` (integers, shape `(n,)`) or `"real"`.
        epochs: Integer, or a function of `hp`.
        batch_size: Integer, or a function of `hp`.
        steps_per_epoch: Optional integer, or a function of `hp`: an "epoch",
            the grain of the curves, is then so many updates.
        callbacks: List of Keras callbacks, or a function of `hp` that
            returns one.
        train: Optional function `(hp, model, data, fit) -> model` for what
            one fit cannot say. It calls `fit(model, epochs=..., phase="...")`
            as often as it likes.
        evaluate: Optional function `(hp, model, data) -> dict` of further
            figures by name, called once after training.
        seeds: Integer. How many seeds a verdict needs. Defaults to 10.
        scales: Dictionary by scale (`"smoke"`, `"cpu"`, `"gpu"`, `"full"`)
            of dictionaries that override `data`, `epochs`, `batch_size`,
            `steps_per_epoch`, `callbacks` or `seeds`.

    Raises:
        ValueError: If a declaration contradicts itself.

    Example:

    >>> from keras_regimen.recipes.harness import Exact, value
    >>> recipe = Recipe(
    ...     claims=[Exact("1 + 1 is 2.", "Peano", value("gap"), at_most=0)],
    ...     arms={"only": Arm()},
    ...     measure=lambda hp, seed: {"gap": abs(1 + 1 - 2)},
    ... )
    >>> recipe.at("smoke").seeds
    2
    """

    # What a model that is searched on its own has otherwise.
    own_fit: Any = None
    reports_test = True

    def __init__(
        self,
        *,
        claims: Sequence[Claim | Exact],
        arms: Mapping[str, Arm],
        build: Callable | None = None,
        measure: Callable | None = None,
        data: Callable | Mapping[str, Callable] | None = None,
        takes: str = "vector",
        target: str = "classes",
        epochs: Any = 1,
        batch_size: Any = 32,
        steps_per_epoch: Any = None,
        callbacks: Any = (),
        train: Callable | None = None,
        evaluate: Callable | None = None,
        seeds: int = 10,
        scales: Mapping[str, Mapping[str, Any]] | None = None,
    ):
        if (build is None) == (measure is None):
            raise ValueError(
                "A recipe needs either `build`, and `data` to fit it on, or "
                "`measure`. Received: "
                + ("neither" if build is None else "both")
            )
        if (build is None) != (data is None):
            raise ValueError("`build` and `data` go together.")
        _check_choice("takes", takes, TAKES)
        _check_choice("target", target, TARGETS)
        _check_count("seeds", seeds)
        for name, count in (
            ("epochs", epochs),
            ("batch_size", batch_size),
            ("steps_per_epoch", steps_per_epoch),
        ):
            if count is not None and not callable(count):
                _check_count(name, count)
        self.claims = tuple(claims)
        self.arms = MappingProxyType(dict(arms))
        self.build = build
        self.measure = measure
        self.takes = takes
        self.target = target
        self.train = train
        self.evaluate = evaluate
        self.scales = dict(scales or {})
        for scale, overrides in self.scales.items():
            _check_choice("scales", scale, SCALES)
            for name in overrides:
                _check_choice(
                    f"scales[{scale!r}]", name, FitSettings.__annotations__
                )
        self._settings = FitSettings(
            data=_by_name(data),
            epochs=epochs,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            callbacks=callbacks,
            seeds=seeds,
        )
        self._check_claims()

    def _check_claims(self) -> None:
        if not self.claims:
            raise ValueError("`claims` must hold at least one claim.")
        if not self.arms:
            raise ValueError("`arms` must hold at least one arm.")
        conditions = list(self._settings.data)
        for claim in self.claims:
            for arm in claim.arms:
                _check_choice("claims", arm, self.arms, "an arm")
            if claim.on is not None:
                _check_choice("claims", claim.on, conditions, "a data name")

    def at(self, scale: str) -> FitSettings:
        """Returns the fit arguments at a scale.

        Without overrides of its own, `"smoke"` is two seeds of three epochs,
        and `"cpu"` what the recipe declares. `"gpu"` has twice its seeds and
        `"full"` five times: the same question, and a narrower answer. What
        was tuned stays what it is.
        """
        overrides = dict(self.scales.get(scale, {}))
        if "data" in overrides:
            overrides["data"] = _by_name(overrides["data"])
        if scale == "smoke":
            overrides = {
                "seeds": 2,
                "epochs": partial(_at_most, 3, self._settings.epochs),
                **overrides,
            }
        if scale in _TIMES_THE_SEEDS:
            seeds = self._settings.seeds * _TIMES_THE_SEEDS[scale]
            overrides = {"seeds": seeds, **overrides}
        return FitSettings(**{**vars(self._settings), **overrides})

    @property
    def file(self) -> Path:
        """The script that declares this recipe."""
        for module in list(sys.modules.values()):
            if getattr(module, "recipe", None) is self and module.__file__:
                return Path(module.__file__).resolve()
        raise ValueError(
            "A recipe is run from its file, where workers can import it: "
            "save it as a script with `recipe = Recipe(...)` at its end."
        )

    def run(self, **options: Any) -> "Result":
        """Runs the arms over paired seeds and judges the claims.

        Args:
            **options: As of the command `regimen run`, with underscores:
                `seeds`, `scale`, `arms`, `data`, `data_dir`, `settings`,
                `workers`, `cluster`, `backend`, `computation`,
                `retry_failed`, `out`.

        Returns:
            A `Result` with `rows`, `table` and `verdicts`.
        """
        from ..run import run_recipe

        return run_recipe(self.file, **options)

    def main(self) -> None:
        """Hands over to `regimen run`, with the arguments of the script."""
        sys.argv[1:] = ["run", str(self.file), *sys.argv[1:]]
        runpy.run_module(_COMMAND, run_name="__main__", alter_sys=True)


def resolve(setting: Any, hp: Any) -> Any:
    """Returns a setting that is a value, or a function of `hp`.

    A value is copied: a callback carries state from one fit to the next.
    """
    if callable(setting):
        return setting(hp)
    return copy.deepcopy(setting)


def _at_most(limit: int, setting: Any, hp: Any) -> int:
    return min(limit, resolve(setting, hp))


def _by_name(data: Any) -> Mapping[str, Any]:
    if data is None:
        return {"": None}  # `measure` has one unnamed condition.
    if callable(data):
        return {"": data}
    if not data:
        raise ValueError("`data` must hold at least one function of a seed.")
    return dict(data)


def _check_choice(
    name: str, received: Any, allowed: Any, kind: str = "one of"
) -> None:
    if received not in allowed:
        listed = ", ".join(repr(a) for a in allowed)
        raise ValueError(
            f"`{name}` must name {kind} ({listed}). Received: {received!r}"
            if kind != "one of"
            else f"`{name}` must be one of {listed}. Received: {received!r}"
        )


def _check_count(name: str, count: Any) -> None:
    whole = isinstance(count, int) and not isinstance(count, bool)
    if not whole or not 1 <= count < math.inf:
        raise ValueError(
            f"`{name}` must be a whole number of at least 1. "
            f"Received: {name}={count!r}"
        )
