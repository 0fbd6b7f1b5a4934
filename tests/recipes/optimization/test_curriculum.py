import numpy as np
import pytest

from keras_regimen.recipes.harness.contract.hyperparameters import (
    HyperParameters,
)
from keras_regimen.recipes.optimization.curriculum import (
    EPOCHS,
    SIDE,
    SWITCH,
    both_sets,
    recipe,
    shapes,
)


@pytest.fixture(scope="module")
def splits():
    return both_sets(0, rows=300)


def widths(images):
    """Returns each image's deviations along its main axes, the longer first."""
    at = np.stack(np.meshgrid(*2 * [np.arange(SIDE)], indexing="ij"), -1)
    spreads = []
    for image in images[..., 0]:
        points, mass = at.reshape(-1, 2), image.ravel() / image.sum()
        covariance = np.cov(points.T, aweights=mass, bias=True)
        spreads.append(np.sqrt(np.linalg.eigvalsh(covariance)[::-1]))
    return np.array(spreads)


def test_easy_shapes_are_as_long_as_wide_and_general_ones_are_not():
    rng = np.random.default_rng(0)
    for kind in range(3):
        (easy, easy_kinds), (general, kinds) = (
            shapes(rng, 300, is_general) for is_general in (False, True)
        )
        ratios = np.divide(*widths(easy[easy_kinds == kind]).T)
        assert ratios.max() < 1.2, kind
        # The squared stretch, uniform in its logarithm: 2.2 in the middle.
        ratios = np.divide(*widths(general[kinds == kind]).T)
        assert 1.7 < np.median(ratios) < 2.7, kind


def test_kinds_differ_in_form_and_not_in_size():
    images, kinds = shapes(np.random.default_rng(1), 3000, False)
    covered = np.mean(images / images.max(axis=(1, 2), keepdims=True), (1, 2))
    means = [covered[kinds == kind].mean() for kind in range(3)]
    np.testing.assert_allclose(means, np.mean(means), rtol=0.05)
    assert np.bincount(kinds).min() > 900


def epochs_of(arm, splits):
    """Returns which rows each epoch of an arm draws, and in which phase."""
    x = np.arange(len(splits.train[0]))[:, None]
    drawn = []

    def fit(model, x, y, epochs, shuffle, phase):
        assert (epochs, shuffle) == (1, False)
        drawn.append((x[:, 0], phase))

    class Numbered:
        train = (x, splits.train[1])

    np.random.seed(7)
    recipe.train(HyperParameters(recipe.arms[arm].on()), None, Numbered, fit)
    return drawn


@pytest.mark.parametrize(
    ("arm", "first", "last"),
    [
        ("mixed", (0, 600), (0, 600)),
        ("curriculum", (0, 300), (0, 600)),
        ("general_first", (300, 600), (0, 600)),
        ("general_only", (300, 600), (300, 600)),
    ],
)
def test_an_arm_draws_from_the_rows_that_it_is_about(arm, first, last, splits):
    drawn = epochs_of(arm, splits)
    assert len(drawn) == EPOCHS
    for epoch, (rows, phase) in enumerate(drawn):
        start, end = first if epoch < SWITCH else last
        assert set(rows) == set(range(start, end)), epoch
        assert len(rows) == 600  # As many updates for each arm.
        assert phase == ("all" if end - start == 600 else "half")


def test_the_random_half_is_half_easy_and_stays_the_same(splits):
    halves = [set(rows) for rows, phase in epochs_of("random_first", splits)]
    assert all(half == halves[0] for half in halves[:SWITCH])
    assert all(half == set(range(600)) for half in halves[SWITCH:])
    # Hypergeometric: one sigma is 6.1 rows of 150.
    easy = sum(row < 300 for row in halves[0])
    assert len(halves[0]) == 300
    assert abs(easy - 150) < 4 * 6.1


def test_arms_share_the_order_of_the_whole(splits):
    orders = [
        epochs_of(arm, splits)[-1][0].tolist()
        for arm in ("mixed", "curriculum")
    ]
    assert orders[0] == orders[1]
