import math

import pytest

from keras_regimen.callbacks.stopping.prechelt_criteria import (
    generalization_loss,
    progress_quotient,
    training_progress,
)


@pytest.mark.parametrize(
    ("error", "best", "loss"),
    [
        (0.6, 0.5, 20.0),
        (0.5, 0.5, 0.0),
        (0.5, None, 0.0),
        (0.0, 0.0, 0.0),
        (0.1, 0.0, math.inf),
        (math.inf, 0.5, math.inf),
    ],
)
def test_loss_is_the_excess_over_the_best_in_per_cent(error, best, loss):
    assert generalization_loss(error, best) == pytest.approx(loss)


@pytest.mark.parametrize(
    ("errors", "progress"),
    [
        # 1000 * ((4 + 3 + 2) / (3 * 2) - 1).
        ([4.0, 3.0, 2.0], 500.0),
        ([2.0, 2.0], 0.0),
        ([0.0, 0.0], 0.0),
        ([1.0, 0.0], math.inf),
    ],
)
def test_progress_is_the_means_excess_over_the_minimum(errors, progress):
    assert training_progress(errors) == pytest.approx(progress)


@pytest.mark.parametrize(
    ("loss", "progress", "quotient"),
    [
        (20.0, 500.0, 0.04),
        (0.0, 0.0, 0.0),
        (20.0, 0.0, math.inf),
        (math.inf, math.inf, math.inf),
        (20.0, math.inf, 0.0),
    ],
)
def test_quotient_is_loss_over_progress(loss, progress, quotient):
    assert progress_quotient(loss, progress) == quotient
