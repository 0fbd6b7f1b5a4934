"""What the losses of a learning-rate range test say."""

from collections.abc import Sequence

import numpy as np


def smooth(losses: Sequence[float], smoothing: float) -> np.ndarray:
    """Returns an exponential moving average without the bias of its start.

    Args:
        losses: Sequence of floats.
        smoothing: Float in `[0, 1)`, the weight of what came before; 0 returns
            the losses.

    Returns:
        Array of the same length.

    Example:

    >>> [round(float(value), 3) for value in smooth([4.0, 1.0], 0.5)]
    [4.0, 2.0]

    Reference:

    - Kingma and Ba, "Adam: A Method for Stochastic Optimization",
      [2014](https://arxiv.org/abs/1412.6980), section 3, for the correction.
    """
    average = weight = 0.0
    smoothed = []
    for loss in losses:
        average = smoothing * average + (1 - smoothing) * loss
        weight = smoothing * weight + (1 - smoothing)
        smoothed.append(average / weight)
    return np.array(smoothed, "float64")


def steepest_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Returns the rate at which the loss falls fastest.

    The slope is that of central differences by the logarithm of the rate, at
    the rates before that of the lowest loss.

    Args:
        rates: Sequence of rising rates.
        losses: Sequence of losses, smoothed, one for each rate.

    Returns:
        Float, one of the rates.

    Raises:
        ValueError: If there are fewer than three rates, or no loss is below
            the first.

    Example:

    >>> steepest_rate([0.01, 0.1, 1.0, 10.0], [5.0, 4.0, 1.0, 9.0])
    0.1
    """
    tried, found = _checked(rates, losses)
    lowest = int(np.argmin(found)) + 1
    slopes = np.gradient(found[:lowest], np.log(tried[:lowest]))
    return float(tried[np.argmin(slopes[:-1])])


def valley_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Returns the rate in the middle of the longest descent.

    The descent is the longest subsequence of losses each below the one before
    it, which single rises do not end. Its middle is robust against the noise
    that moves the steepest point.

    Args:
        rates: Sequence of rising rates.
        losses: Sequence of losses, smoothed, one for each rate.

    Returns:
        Float, one of the rates.

    Raises:
        ValueError: If there are fewer than three rates, or no loss is below
            the first.

    Example:

    >>> valley_rate([0.01, 0.1, 1.0, 10.0], [5.0, 4.0, 1.0, 9.0])
    0.1
    """
    tried, found = _checked(rates, losses)
    length = np.ones(len(found), int)
    start = np.arange(len(found))
    for i in range(1, len(found)):
        above = np.flatnonzero(found[:i] > found[i])
        if len(above):
            best = above[np.argmax(length[above])]
            length[i] = length[best] + 1
            start[i] = start[best]
    end = int(np.argmax(length))
    return float(tried[(start[end] + end) // 2])


def _checked(
    rates: Sequence[float], losses: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    if len(rates) != len(losses) or len(rates) < 3:
        raise ValueError(
            "A range test needs a loss for each rate, of three rates or more. "
            f"Received: {len(rates)} rates, {len(losses)} losses"
        )
    tried, found = np.asarray(rates), np.asarray(losses)
    if not np.min(found) < found[0]:
        raise ValueError(
            "The loss fell at no rate, so none can be suggested: try lower "
            "rates, or more steps. Received: rates from "
            f"{tried[0]:.3g} to {tried[-1]:.3g}"
        )
    return tried, found
