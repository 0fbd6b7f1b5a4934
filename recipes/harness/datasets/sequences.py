"""Standard tasks that need memory over many time steps."""

import numpy as np

from ..contract.splits import Splits
from .dataset import Dataset, whole_numbers
from .random_stream import random_stream


def adding_problem(
    length: int = 50,
    train_size: int = 2000,
    validation_size: int = 500,
    test_size: int = 2000,
) -> Dataset:
    """The adding problem: the sum of two marked numbers of a sequence.

    Each time step holds a number, uniform in [0, 1], and a mark: 1 at one
    step of the first half and at one step of the second half, else 0. The
    target is the sum of the two marked numbers. Who always answers 1 has a
    mean squared error of 1/6 = 0.167, the variance of that sum.

    Args:
        length: Integer, 2 or more. The number of time steps.
        train_size: Integer, 1 or more. The number of training sequences.
        validation_size: Integer, 1 or more.
        test_size: Integer, 1 or more.

    Returns:
        A `Dataset`: call it with a seed. Inputs of shape `(length, 2)`.

    Raises:
        ValueError: If an argument is not an integer or is too small.

    Example:

    >>> adding_problem(length=20)(seed=0)
    Splits(2000 + 500 + 2000 rows of (20, 2), target='real', num_classes=None)

    Reference:

    - Hochreiter and Schmidhuber, 1997, "Long short-term memory", section 5.4,
      with numbers in [-1, 1], both marks early, and sequences of differing
      lengths. Ours is the later standard form of
      [Le et al., 2015](https://arxiv.org/abs/1504.00941) and
      [Arjovsky et al., 2016](https://arxiv.org/abs/1511.06464), section 5.2.
    """
    settings = whole_numbers(length=length, at_least=2) + whole_numbers(
        train_size=train_size,
        validation_size=validation_size,
        test_size=test_size,
    )
    return Dataset(adding_problem, _draw_sums, settings)


def copy_task(
    delay: int = 30,
    length: int = 10,
    num_symbols: int = 8,
    train_size: int = 2000,
    validation_size: int = 500,
    test_size: int = 1000,
) -> Dataset:
    """The copy task: repeat the symbols seen before a long pause.

    The input shows `length` random symbols, then blanks, then at step
    `length + delay` (counted from 1) a delimiter, then `length` more blanks.
    The target is blank for `length + delay` steps, then the symbols in their
    order. The blank is class `num_symbols`; the delimiter, `num_symbols + 1`,
    is never a target. Who knows all but the symbols has a cross-entropy of
    `length * log(num_symbols) / (delay + 2 * length)` per step.

    Args:
        delay: Integer, 1 or more. Steps from the last symbol to the
            delimiter.
        length: Integer, 1 or more. The number of symbols to remember.
        num_symbols: Integer, 2 or more. The number of different symbols.
        train_size: Integer, 1 or more. The number of training sequences.
        validation_size: Integer, 1 or more.
        test_size: Integer, 1 or more.

    Returns:
        A `Dataset`: call it with a seed. Inputs are one-hot, of shape
        `(delay + 2 * length, num_symbols + 2)`; targets are integer labels
        at each time step.

    Raises:
        ValueError: If an argument is not an integer or is too small.

    Example:

    >>> copy_task(delay=10)(seed=0)
    Splits(2000 + 500 + 1000 rows of (30, 10), target='classes', num_classes=9)

    Reference:

    - [Arjovsky et al., 2016](https://arxiv.org/abs/1511.06464), section 5.1,
      after Hochreiter and Schmidhuber, 1997. Their T is our `delay`.
    """
    settings = (
        *whole_numbers(delay=delay, length=length),
        *whole_numbers(num_symbols=num_symbols, at_least=2),
        *whole_numbers(
            train_size=train_size,
            validation_size=validation_size,
            test_size=test_size,
        ),
    )
    return Dataset(copy_task, _draw_copies, settings)


def _draw_sums(seed: int, length: int, *sizes: int) -> Splits:
    def draw(purpose, rows):
        rng = random_stream(seed, f"adding problem, {purpose}")
        x = np.zeros((rows, length, 2), "float32")
        x[:, :, 0] = rng.random((rows, length), "float32")
        half = length // 2
        marked = np.stack(
            [rng.integers(0, half, rows), rng.integers(half, length, rows)],
            axis=1,
        )
        each = np.arange(rows)[:, None]
        x[each, marked, 1] = 1
        return x, x[each, marked, 0].sum(axis=1, keepdims=True)

    return _three(draw, sizes)


def _draw_copies(
    seed: int, delay: int, length: int, num_symbols: int, *sizes: int
) -> Splits:
    blank, delimiter = num_symbols, num_symbols + 1

    def draw(purpose, rows):
        rng = random_stream(seed, f"copy task, {purpose}")
        symbols = rng.integers(0, num_symbols, (rows, length))
        shown = np.full((rows, delay + 2 * length), blank)
        shown[:, :length] = symbols
        shown[:, length + delay - 1] = delimiter
        y = np.full_like(shown, blank)
        y[:, -length:] = symbols
        return np.eye(num_symbols + 2, dtype="float32")[shown], y

    return _three(draw, sizes)


def _three(draw, sizes: tuple[int, ...]) -> Splits:
    purposes = ("training", "validation", "test")
    return Splits(*map(draw, purposes, sizes))
