"""The verdict on a claim: from paired differences to one tested word.

The interval for the mean paired difference is the wider, on each side, of
Student's t and the inverted exact sign-flip test: t alone errs on tied
accuracies, and bootstrap intervals cover too little at ten seeds.
"""

import bisect
import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral

import numpy as np
from scipy.special import stdtrit

ERROR = 0.05  # Two-sided, shared by all tests of a recipe and its looks.
EXACT_UP_TO = 20  # Pairs; beyond, 2**n subsets are drawn, not enumerated.


@dataclass(frozen=True)
class Verdict:
    """One word on a claim, with the figures that it rests on.

    Args:
        word: `"reproduced"`, `"same direction"`, `"no effect"`,
            `"opposite"`, `"underpowered"` or `"failed"`.
        reason: A sentence with the figures that decided.
        n: Number of pairs, pairs without a finite value included.
        n_min: The fewest pairs that can decide anything.
        mean: Mean difference; `None` without pairs or if one is not finite.
        sd: Standard deviation of the differences; `None` below two pairs.
        low: Lower end of the interval for the mean; `None` as `sd`.
        high: Upper end of the interval for the mean; `None` as `sd`.
        minimum_detectable: The effect that so many pairs find with
            probability 0.8; `None` as `sd`.
        seeds_likely: Where the interval decides nothing: the number of seeds
            of which the interval decides with probability 0.9.
        seeds_sure: The same, whatever the true effect.
    """

    word: str
    reason: str
    n: int
    n_min: int
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    minimum_detectable: float | None = None
    seeds_likely: int | None = None
    seeds_sure: int | None = None


def judge(
    differences: Iterable[float | None],
    smallest_effect: float,
    parts: int = 1,
    resolution: float = 0.0,
) -> Verdict:
    """Returns the verdict on paired differences.

    Args:
        differences: Treatment minus baseline for each seed, `+` being the
            claimed direction. `None`, NaN or infinite where a run of the
            pair has no value: a pair is never dropped.
        smallest_effect: Float above 0, declared before anything ran.
        parts: Integer of 1 or more. How many tests share the 5 % error.
        resolution: Float of 0 or more. The smallest step of the metric, such
            as 1 / test rows for an accuracy; 0 for a continuous metric.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> judge([0.9, 1.2, 1.1, 0.8, 1.0, 1.3], smallest_effect=0.5).word
    'reproduced'
    """
    _check_arguments(smallest_effect, parts, resolution)
    d = [math.nan if x is None else float(x) for x in differences]
    n = len(d)
    tail = ERROR / (2 * parts)
    # Fewer pairs have no subset of signs rare enough: 6 for one part.
    n_min = math.ceil(math.log2(1 / tail))
    too_few = f"Too few pairs to decide: {n} of at least {n_min}."

    missing = sum(not math.isfinite(x) for x in d)
    if missing or not n:
        reason = f"{missing} of {n} pairs have no finite value."
        return Verdict("failed", reason if n else "No pairs.", n, n_min)
    mean = math.fsum(d) / n
    if n == 1:
        return Verdict("underpowered", too_few, n, n_min, mean)

    sd = math.hypot(*(x - mean for x in d)) / math.sqrt(n - 1)
    # On a coarse metric equal differences may hide a spread of half a step.
    s = max(sd, resolution / 2)

    def reach(pairs, power=0.5):
        """Returns the effect that is found with this probability."""
        quantiles = stdtrit(pairs - 1, 1 - tail) + stdtrit(pairs - 1, power)
        return float(quantiles) * s / math.sqrt(pairs)

    exact_low, exact_high = _sign_flip_interval(d, tail)
    low = min(mean - reach(n), exact_low)
    high = max(mean + reach(n), exact_high)
    figures = (n, n_min, mean, sd, low, high, reach(n, power=0.8))
    interval = f"The interval [{low:.3g}, {high:.3g}]"
    effect = f"the smallest effect {smallest_effect:.3g}"
    # Equal up to rounding is equal. Figures that count something have that of
    # float32; means of so few pairs differ by more than a thousandth of a step.
    tolerance = max(1e-9 * smallest_effect, 1e-3 * resolution)

    if n < n_min:
        return Verdict("underpowered", too_few, *figures)
    if not resolution and max(d) - min(d) <= tolerance:
        reason = f"All {n} differences equal {mean:.3g}"
        reason += ": the seed or the treatment did not act."
        return Verdict("failed", reason, *figures)
    if low > tolerance:
        reached = mean >= smallest_effect - tolerance
        word = "reproduced" if reached else "same direction"
        reason = f"{interval} lies above 0, and the mean {mean:.3g} "
        reason += f"{'reaches' if reached else 'is below'} {effect}."
        return Verdict(word, reason, *figures)
    if high < -tolerance:
        return Verdict("opposite", f"{interval} lies below 0.", *figures)
    if max(-low, high) < smallest_effect - tolerance:
        reason = f"{interval} stays within {effect} on both sides of 0."
        return Verdict("no effect", reason, *figures)

    def first(decides):
        return bisect.bisect_left(range(10**12), True, lo=n + 1, key=decides)

    likely = first(lambda pairs: reach(pairs, 0.9) <= smallest_effect)
    sure = first(lambda pairs: reach(pairs) <= smallest_effect / 2)
    reason = f"{interval} holds 0 and extends to {effect} or beyond: "
    reason += f"{likely} seeds would likely decide, {sure} surely."
    return Verdict("underpowered", reason, *figures, likely, sure)


def new_data_interval(
    verdict: Verdict,
    parts: int,
    train_size: int,
    test_size: int,
    resolution: float = 0.0,
) -> tuple[float, float] | None:
    """Returns the interval for new data from the same source.

    Splits redrawn from one data set overlap, so their spread understates
    that over data not seen yet. It does not set the word.

    Args:
        verdict: What `judge` returned.
        parts: As given to `judge`.
        train_size: Rows in each training split.
        test_size: Rows in each test split.
        resolution: As given to `judge`.

    Returns:
        The lower and upper end, or `None` if the verdict has no interval.

    Reference:

    - Nadeau and Bengio, Inference for the Generalization Error, Machine
      Learning 52, 2003.
    """
    if verdict.mean is None or verdict.sd is None:
        return None
    t = float(stdtrit(verdict.n - 1, 1 - ERROR / (2 * parts)))
    s = max(verdict.sd, resolution / 2)
    half = t * s * math.sqrt(1 / verdict.n + test_size / train_size)
    return verdict.mean - half, verdict.mean + half


def collapse_bound(n: int) -> float:
    """Returns the rate of collapse that is still possible after 0 of `n`."""
    return 1 - ERROR ** (1 / n) if n else 1.0


def probability_of_improvement(
    differences: Iterable[float | None],
) -> float | None:
    """Returns the share of positive differences, ties counting half.

    `None` without pairs or if a pair has no finite value.
    """
    d = [math.nan if x is None else float(x) for x in differences]
    if not d or not all(map(math.isfinite, d)):
        return None
    return sum((x > 0) + 0.5 * (x == 0) for x in d) / len(d)


def _check_arguments(smallest_effect, parts, resolution):
    whole = isinstance(parts, Integral) and parts >= 1
    for received, fine, allowed in (
        (f"{smallest_effect=}", 0 < smallest_effect < math.inf, "above 0"),
        (f"{parts=}", whole, "an integer of 1 or more"),
        (f"{resolution=}", 0 <= resolution < math.inf, "0 or more"),
    ):
        if not fine:
            name = received.partition("=")[0]
            raise ValueError(
                f"`{name}` must be finite and {allowed}. Received: {received}"
            )


def _sign_flip_interval(d, tail):
    """Inverts the exact sign-flip test for the mean, `tail` on each side.

    Flipping the signs of a subset A of the `d - m` keeps or raises their sum
    if and only if the mean of `d` over A is at most m. With the empty subset,
    which always counts, m is thus rejected from above if fewer than
    `k = floor(tail * 2**n)` non-empty subsets have a mean of at most m: the
    lower end is the k-th smallest subset mean. Where `tail` is too small for
    any rejection, the ends are the outermost subset means.
    """
    if len(d) <= EXACT_UP_TO:
        sums, sizes = np.zeros(1), np.zeros(1)
        for x in d:  # Each pair doubles the subsets: without it, with it.
            sums = np.concatenate([sums, sums + x])
            sizes = np.concatenate([sizes, sizes + 1])
        means = sums[1:] / sizes[1:]
    else:
        subsets = _random_subsets(len(d))
        means = subsets @ np.asarray(d) / subsets.sum(axis=1)
    k = max(1, math.floor(tail * (len(means) + 1)))
    ordered = np.partition(means, [k - 1, len(means) - k])
    return float(ordered[k - 1]), float(ordered[-k])


@functools.lru_cache(maxsize=4)
def _random_subsets(n):
    # `RandomState` is frozen: the same subsets under every NumPy.
    drawn = np.random.RandomState(0).randint(2, size=(65_535, n), dtype=bool)
    return drawn[drawn.any(axis=1)]
