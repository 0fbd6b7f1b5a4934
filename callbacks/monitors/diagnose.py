"""A word for the curves of a training, and the figures behind it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np


@dataclass(frozen=True)
class Diagnosis:
    """A word for a training, why, and the figures behind it.

    Args:
        word: String: `"good fit"`, `"underfitting"`, `"overfitting"`,
            `"label noise"` or `"divergence"`.
        sentence: String that quotes the figures that decided.
        figures: Dictionary of all that was judged by: `training`, `validation`
            and `best_validation` losses, `reference` and `target`; as shares
            of the way from reference to target, `learned`, `gap`, `turn` and
            `climb`; and, where an error is known, `error_rise`.

    Example:

    >>> Diagnosis("good fit", "all is well", {"learned": 0.9}).word
    'good fit'
    """

    word: str
    sentence: str
    figures: dict[str, float]


def diagnose(
    history: Mapping[str, Sequence[float]],
    reference: float | None = None,
    target: float = 0.0,
    underfitting: float = 0.5,
    gap: float = 0.2,
    turn: float = 0.1,
    divergence: float = 0.5,
    label_noise: float = 0.05,
) -> Diagnosis:
    """Names what the curves of a training show.

    Losses are measured on the way from `reference`, nothing learned, to
    `target`, all learned; those at the end are medians of the last tenth of
    the epochs. In this order:

    - *divergence*: a loss is no finite number, or the training loss has
      climbed by `divergence` of the way from its lowest;
    - *overfitting*: the validation loss ends by `gap` of the way above the
      training loss, or by `turn` above its own lowest;
    - *label noise*, a suspicion: overfitting in which the validation *error*
      has risen by `label_noise` from its lowest, too. Where labels are right,
      a net that overfits grows too sure, and errs as rarely as before;
    - *underfitting*: the training loss has come less than `underfitting` of
      the way;
    - *good fit* otherwise.

    Args:
        history: Mapping from names to curves, as in `History.history`: `loss`,
            `val_loss` and, maybe, an accuracy or error with its `val_`.
        reference: Optional float. The loss of a model that has learned
            nothing. By default the first of the training losses.
        target: Float. The loss one would be content with. Defaults to `0.0`.
        underfitting: Float in `[0, 1]`, a share of the way. Defaults to `0.5`.
        gap: Positive float, a share of the way. Defaults to `0.2`.
        turn: Positive float, a share of the way. Defaults to `0.1`.
        divergence: Positive float, a share of the way. Defaults to `0.5`.
        label_noise: Positive float, a share of the samples. Defaults to
            `0.05`.

    Returns:
        A `Diagnosis`, of `word`, `sentence` and `figures`.

    Raises:
        ValueError: If an argument is outside its range, a curve is missing,
            or the first loss is no larger than `target`.

    Example:

    >>> found = diagnose({
    ...     "loss": [2.0, 1.0, 0.5, 0.1], "val_loss": [2.0, 1.2, 1.0, 1.5]
    ... })
    >>> print(found.word, "-", found.sentence)
    overfitting - the validation loss ended at 1.5, the training loss at 0.1; \
the former was 1 after epoch 3
    """
    bounds = dict(locals())
    del bounds["history"]
    check_bounds(**bounds)
    curves = {
        name: np.asarray(curve, "float64") for name, curve in history.items()
    }
    for name in ("loss", "val_loss"):
        if not len(curves.get(name, ())):
            raise ValueError(
                "A diagnosis needs the curves `loss` and `val_loss`, so pass "
                "`validation_data` to `fit`. Received: "
                + (", ".join(f"`{key}`" for key in history) or "no curve")
            )
    loss, val_loss = curves["loss"], curves["val_loss"]
    lost = _lost(loss, val_loss)
    if lost is not None:
        return lost
    start = float(loss[0] if reference is None else reference)
    way = start - target
    if not way > 0:
        raise ValueError(
            "Training must begin above `target`, so pass a lower one, or a "
            f"`reference`. Received: target={target}, a first training loss "
            f"of {start:.6g}"
        )
    training, validation = _end(loss), _end(val_loss)
    best = float(np.min(val_loss))
    figures = {
        "training": training,
        "validation": validation,
        "best_validation": best,
        "reference": start,
        "target": float(target),
    }
    figures |= {
        "learned": (start - training) / way,
        "gap": (validation - training) / way,
        "turn": (validation - best) / way,
        "climb": (training - float(np.min(loss))) / way,
    }
    error = _error(curves)
    if error is not None:
        figures["error_rise"] = _end(error) - float(np.min(error))
    ended = (
        f"the validation loss ended at {validation:.3g}, the training loss "
        f"at {training:.3g}"
    )
    epoch = int(np.argmin(val_loss)) + 1
    # With `validation_freq` nobody knows which epoch it was.
    when = f" after epoch {epoch}" if len(val_loss) == len(loss) else ""
    turned = f"{ended}; the former was {best:.3g}{when}"
    if figures["climb"] >= divergence:
        word = "divergence"
        sentence = (
            f"the training loss ended at {training:.3g}, after "
            f"{np.min(loss):.3g} in epoch {np.argmin(loss) + 1}"
        )
    elif figures["gap"] >= gap or figures["turn"] >= turn:
        word, sentence = "overfitting", turned
        if error is not None and figures["error_rise"] >= label_noise:
            word = "label noise"
            sentence += (
                f". The validation error rose, too, from {np.min(error):.1%} "
                f"to {_end(error):.1%}: what was learned last may be wrong "
                "labels"
            )
    elif figures["learned"] < underfitting:
        word = "underfitting"
        sentence = (
            f"{ended}: {figures['learned']:.0%} of the way from {start:.3g} "
            f"to {target:.3g}"
        )
    else:
        word = "good fit"
        sentence = f"{ended}, from {start:.3g}"
    return Diagnosis(word, sentence, figures)


def _end(curve: np.ndarray) -> float:
    return float(np.median(curve[-max(1, round(len(curve) / 10)) :]))


def _lost(loss: np.ndarray, val_loss: np.ndarray) -> Diagnosis | None:
    for kind, curve in (("training", loss), ("validation", val_loss)):
        bad = np.flatnonzero(~np.isfinite(curve))
        if bad.size:
            first = int(bad[0])
            return Diagnosis(
                "divergence",
                f"the {kind} loss was {curve[first]} at the end of epoch "
                f"{first + 1}",
                {"training": loss[-1], "validation": val_loss[-1]},
            )
    return None


def _error(curves: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The share of wrong answers on validation data, if it is known."""
    for name, curve in curves.items():
        if name == "val_error":
            return curve
        if name.startswith("val_") and name.endswith("accuracy"):
            return 1 - curve
    return None


def check_bounds(
    reference: float | None, target: float, underfitting: float, **bounds: float
) -> None:
    """Raises a `ValueError` unless the arguments of `diagnose` are right."""
    for name, value in (("reference", reference), ("target", target)):
        if value is not None and not (
            isinstance(value, Real) and math.isfinite(value)
        ):
            raise ValueError(
                f"`{name}` must be a finite number. Received: {name}={value}"
            )
    if reference is not None and not reference > target:
        raise ValueError(
            "`reference` must be larger than `target`. "
            f"Received: reference={reference}, target={target}"
        )
    if not 0 <= underfitting <= 1:
        raise ValueError(
            "`underfitting` must be a share in [0, 1]. "
            f"Received: underfitting={underfitting}"
        )
    for name, value in bounds.items():
        if not value > 0:
            raise ValueError(
                f"`{name}` must be a positive number. Received: {name}={value}"
            )
