"""The figures by which Prechelt's criteria stop training."""

import math
from collections.abc import Sequence


def generalization_loss(error: float, best: float | None) -> float:
    """Returns Prechelt's GL: how many per cent `error` is above the best.

    Args:
        error: Float, 0 or more. The validation error.
        best: Float. The lowest validation error so far, `error` included, or
            `None` if there was no finite one.

    Returns:
        Float, 0 or more: 0 at the best or without one, infinite above a best
        of 0.

    Example:

    >>> generalization_loss(0.75, best=0.5)
    50.0
    """
    if best is None or error == best:
        return 0.0
    return math.inf if best == 0 else 100 * (error / best - 1)


def training_progress(errors: Sequence[float]) -> float:
    """Returns Prechelt's P_k: how far a strip's mean is above its minimum.

    Args:
        errors: Sequence of floats, 0 or more. The training errors of the
            strip's epochs.

    Returns:
        Float, in per mille: 0 if the error did not move, infinite if it
        reached 0.

    Example:

    >>> training_progress([2.0, 1.0])
    500.0
    """
    lowest = min(errors)
    if lowest == max(errors):
        return 0.0
    if lowest == 0:
        return math.inf
    # The mean of the excesses: unlike the mean's excess never below 0.
    return 1000 * sum(e / lowest - 1 for e in errors) / len(errors)


def progress_quotient(loss: float, progress: float) -> float:
    """Returns Prechelt's PQ: generalization loss over training progress.

    Args:
        loss: Float, 0 or more. What `generalization_loss` returned.
        progress: Float, 0 or more. What `training_progress` returned.

    Returns:
        Float: 0 or infinite if the loss is so, whatever the progress; else
        infinite without any progress.

    Example:

    >>> progress_quotient(50.0, 500.0)
    0.1
    """
    if loss in (0, math.inf):
        return loss
    return math.inf if progress == 0 else loss / progress
