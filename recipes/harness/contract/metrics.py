"""What a claim compares: figures that are read from a finished cell's row.

A metric reads recorded curves and evaluations and trains nothing, so a claim
may be reworded, or another one added, without running a cell again.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class Metric:
    """A figure of one cell.

    Args:
        label: What tables print, such as `"final test_error"`.
        read: Function from a row to the figure; NaN where the run diverged.
        resolution: Function from a row to the figure's smallest step: one
            test item for an error rate, 0 if it is continuous.
        missed: Function from a row to whether the figure stands for "never
            reached" (only `steps_to` has such).
        reads_test: Whether the figure depends on test data.
        on_validation: The same figure of the validation data, if the figure
            reads test data and has such a twin.
    """

    label: str
    read: Callable[[Row], float]
    resolution: Callable[[Row], float]
    missed: Callable[[Row], bool] = lambda row: False
    reads_test: bool = False
    on_validation: "Metric | None" = None

    @property
    def objective(self) -> "Metric | None":
        """What a search may choose by: this figure without test data."""
        return self.on_validation if self.reads_test else self

    def __repr__(self) -> str:
        return self.label


def final(name: str) -> Metric:
    """Returns the metric of the trained model, as it is handed over.

    `test_`, `val_` and `train_` figures are evaluated once after training
    (so with the weights that a callback restored, and without dropout); a
    bare name, such as `"loss"`, is the training log of the last epoch.

    Args:
        name: String, such as `"test_error"`, `"val_loss"` or `"loss"`.

    Example:

    >>> row = {"final": {"test_error": 0.25}, "items": {"test": 8}}
    >>> final("test_error").read(row), final("test_error").resolution(row)
    (0.25, 0.125)
    """
    return Metric(
        label=f"final {name}",
        read=partial(_read_final, name),
        resolution=partial(_step, name),
        reads_test=name.startswith("test_"),
        on_validation=_validation_twin(name, final),
    )


def at_best_epoch(name: str, monitor: str = "val_loss") -> Metric:
    """Returns the metric at the epoch whose `monitor` was lowest.

    Args:
        name: String. The curve that is read.
        monitor: String. The curve that chooses the epoch: a training or
            validation curve, never a test curve.

    Raises:
        ValueError: If `monitor` is a test curve.

    Example:

    >>> curves = {"val_loss": [3.0, 1.0, 2.0], "test_loss": [2.5, 1.5, 1.0]}
    >>> at_best_epoch("test_loss", monitor="val_loss").read({"curves": curves})
    1.5
    """
    if monitor.startswith("test_"):
        raise ValueError(
            "`monitor` must be a training or validation curve: test data is "
            f"evaluated, never chosen by. Received: monitor={monitor!r}"
        )
    return Metric(
        label=f"{name} at the best {monitor}",
        read=partial(_read_at_best, name, monitor),
        resolution=partial(_step, name),
        reads_test=name.startswith("test_"),
        on_validation=_validation_twin(
            name, partial(at_best_epoch, monitor=monitor)
        ),
    )


def steps_to(name: str, threshold: float, count: str = "updates") -> Metric:
    """Returns how many updates it took until a curve fell to a threshold.

    A cell that never gets there counts as its whole budget, and the table
    says how many did not: an average over the others would flatter the arm
    that fails most.

    Args:
        name: String. The curve, such as `"val_error"`.
        threshold: Float. Reached when the curve is at or below it.
        count: `"updates"`, or `"evaluations"` of the gradient, which differ
            where a step takes several.

    Raises:
        ValueError: If `count` is something else.

    Example:

    >>> row = {"curves": {"val_error": [0.5, 0.2, 0.1]}, "steps_per_epoch": 8}
    >>> steps_to("val_error", 0.2).read(row)
    16.0
    """
    if count not in ("updates", "evaluations"):
        raise ValueError(
            '`count` must be "updates" or "evaluations". '
            f"Received: count={count!r}"
        )
    return Metric(
        label=f"{count} to {name} ≤ {threshold:g}",
        read=partial(_read_steps, name, threshold, count),
        resolution=_step_of_counts,
        missed=partial(_never_reached, name, threshold),
        reads_test=name.startswith("test_"),
    )


def gap(name: str) -> Metric:
    """Returns the generalization gap: test minus training, both evaluated.

    Both are evaluated after training, so without dropout and noise.

    Args:
        name: String, `"loss"`, `"error"` or `"rmse"`.

    Example:

    >>> gap("loss").read({"final": {"test_loss": 0.75, "train_loss": 0.25}})
    0.5
    """
    return Metric(
        label=f"{name} gap (test - train)",
        read=partial(_read_gap, name, "test"),
        resolution=partial(_step, f"test_{name}"),
        reads_test=True,
        on_validation=Metric(
            label=f"{name} gap (validation - train)",
            read=partial(_read_gap, name, "val"),
            resolution=partial(_step, f"val_{name}"),
        ),
    )


def value(name: str, resolution: float = 0.0) -> Metric:
    """Returns a figure that the recipe's `evaluate` or `measure` gave.

    Args:
        name: String. Its key in the returned dictionary.
        resolution: Float. The figure's smallest step, 0 if continuous.

    Example:

    >>> value("largest_error").read({"values": {"largest_error": 1e-9}})
    1e-09
    """
    return Metric(
        label=name,
        read=partial(_look_up, "values", name),
        resolution=partial(_constant, resolution),
    )


def _look_up(group: str, name: str, row: Row) -> Any:
    have = row.get(group) or {}
    if name not in have:
        raise LookupError(
            f"no {name!r} among the {group} of this cell; it has {sorted(have)}"
        )
    return have[name]


def _read_final(name: str, row: Row) -> float:
    if name.startswith(("test_", "val_", "train_")):
        return _look_up("final", name, row)
    return _look_up("curves", name, row)[-1]


def _read_at_best(name: str, monitor: str, row: Row) -> float:
    curve = _look_up("curves", name, row)
    watched = _look_up("curves", monitor, row)
    finite = [e for e, v in enumerate(watched) if math.isfinite(v)]
    if not finite:
        return math.nan
    return curve[min(finite, key=watched.__getitem__)]


def _first_epoch_at(name: str, threshold: float, row: Row) -> int | None:
    curve = _look_up("curves", name, row)
    return next((e for e, v in enumerate(curve) if v <= threshold), None)


def _read_steps(name: str, threshold: float, count: str, row: Row) -> float:
    epoch = _first_epoch_at(name, threshold, row)
    if epoch is None:
        return float(row["budget"])
    if count == "evaluations" and "evaluations" in row["curves"]:
        return float(sum(row["curves"]["evaluations"][: epoch + 1]))
    return float((epoch + 1) * row["steps_per_epoch"])


def _never_reached(name: str, threshold: float, row: Row) -> bool:
    return _first_epoch_at(name, threshold, row) is None


def _read_gap(name: str, data: str, row: Row) -> float:
    evaluated = _look_up("final", f"{data}_{name}", row)
    return evaluated - _look_up("final", f"train_{name}", row)


def _step(name: str, row: Row) -> float:
    if not name.endswith("error"):
        return 0.0
    data = name.partition("_")[0] if "_" in name else "train"
    return 1 / row["items"]["validation" if data == "val" else data]


def _step_of_counts(row: Row) -> float:
    return float(row["steps_per_epoch"])


def _constant(number: float, row: Row) -> float:
    return number


def _validation_twin(name: str, make: Callable[[str], Metric]) -> Metric | None:
    if name.startswith("test_"):
        return make("val_" + name.removeprefix("test_"))
    return None
