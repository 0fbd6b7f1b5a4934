"""Two classes in the plane that no straight line tells apart."""

import numpy as np

from ..contract.splits import Splits
from .dataset import Dataset, fraction, whole_numbers
from .random_stream import random_stream
from .row_split import add_label_noise


def two_moons(
    train_size: int = 200,
    validation_size: int = 100,
    test_size: int = 1000,
    noise: float = 0.2,
    label_noise: float = 0.0,
) -> Dataset:
    """Scikit-learn's two interleaving half circles.

    Args:
        train_size: Integer, 1 or more. The number of training rows.
        validation_size: Integer, 1 or more.
        test_size: Integer, 1 or more.
        noise: Float, 0 or more. Standard deviation of the Gaussian noise on
            both coordinates, where the half circles have radius 1.
        label_noise: Float in `[0, 1]`. The fraction of training and of
            validation rows that get the wrong label; test labels stay right.

    Returns:
        A `Dataset`: call it with a seed.

    Raises:
        ValueError: If a size is not an integer of 1 or more, `noise` is
            negative or not finite, or `label_noise` is not a fraction.

    Example:

    >>> two_moons(noise=0.1)(seed=0)
    Splits(200 + 100 + 1000 rows of (2,), target='classes', num_classes=2)

    Reference:

    - `sklearn.datasets.make_moons`, which draws the rows.
    """
    sizes = whole_numbers(
        train_size=train_size,
        validation_size=validation_size,
        test_size=test_size,
    )
    if not 0 <= noise < np.inf:
        raise ValueError(
            "`noise` must be a finite standard deviation of 0 or more. "
            f"Received: noise={noise!r}"
        )
    settings = (*sizes, float(noise), fraction(label_noise=label_noise))
    return Dataset(two_moons, _draw_moons, settings)


def two_spirals(
    density: int = 1, validation_size: int = 200, test_size: int = 1000
) -> Dataset:
    """Two spirals that coil three times around the origin and each other.

    The training rows are the standard 97 points of each spiral, the same for
    every seed, at equal steps of the angle. Validation and test rows lie on
    the same curves, at random angles that the seed draws. Coordinates are in
    [-6.5, 6.5], as in the benchmark.

    Args:
        density: Integer, 1 or more. Training points of a spiral for each
            1/16 of a half turn.
        validation_size: Integer, 1 or more.
        test_size: Integer, 1 or more.

    Returns:
        A `Dataset`: call it with a seed.

    Raises:
        ValueError: If an argument is not an integer of 1 or more.

    Example:

    >>> two_spirals()(seed=0)
    Splits(194 + 200 + 1000 rows of (2,), target='classes', num_classes=2)

    Reference:

    - Lang and Witbrock, 1988, "Learning to tell two spirals apart",
      Proceedings of the 1988 Connectionist Models Summer School, with the
      generator and its `density` from the CMU neural network benchmarks,
      which leave the test rows open.
    """
    settings = whole_numbers(
        density=density, validation_size=validation_size, test_size=test_size
    )
    return Dataset(two_spirals, _draw_spirals, settings)


def _draw_moons(
    seed: int,
    train_size: int,
    validation_size: int,
    test_size: int,
    noise: float,
    label_noise: float,
) -> Splits:
    # Scikit-learn takes most of a second to import.
    from sklearn.datasets import make_moons

    # One draw for all parts: two draws of one size would share their angles.
    x, y = make_moons(
        train_size + validation_size + test_size,
        noise=noise,
        random_state=int(random_stream(seed, "moons").integers(2**32)),
    )
    cuts = [train_size, train_size + validation_size]
    pairs = list(zip(np.split(x, cuts), np.split(y, cuts), strict=True))
    train, validation, test = add_label_noise(pairs, seed, label_noise)
    return Splits(train, validation, test)


def _draw_spirals(
    seed: int, density: int, validation_size: int, test_size: int
) -> Splits:
    steps = np.arange(96 * density + 1) / density
    train = _on_spirals(np.repeat(steps, 2), np.arange(2 * len(steps)) % 2 == 0)

    def draw(purpose, rows):
        rng = random_stream(seed, f"spirals, {purpose}")
        return _on_spirals(rng.uniform(0, 96, rows), rng.random(rows) < 0.5)

    return Splits(
        train, draw("validation", validation_size), draw("test", test_size)
    )


def _on_spirals(
    step: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    angle, radius = step * np.pi / 16, 6.5 * (104 - step) / 104
    # The second spiral is the first one, turned by half a turn.
    radius = np.where(first, radius, -radius)
    points = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return points, first.astype("int32")
