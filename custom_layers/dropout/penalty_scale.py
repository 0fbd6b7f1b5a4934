"""What a divergence from the prior weighs beside a loss of Keras."""

import numbers


def penalty_scale(dataset_size: int, precision: float | None) -> float:
    """Returns the factor of a divergence that is added to a mean loss.

    The evidence bound is the sum of the samples' log-likelihoods minus one
    divergence. Keras' losses are means over samples: the divergence is
    divided by their number. And mean squared error is `2 / precision` times
    the negative log-likelihood of a Gaussian, up to a constant: the
    divergence has to grow by the same factor.

    Args:
        dataset_size: Positive integer. The number of training samples.
        precision: Positive float, the inverse variance of the observations'
            noise, if the loss is the mean squared error; `None` if it is a
            negative log-likelihood, such as cross-entropy.

    Returns:
        Float.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> penalty_scale(100, precision=None), penalty_scale(100, precision=4.0)
    (0.01, 0.005)
    """
    if not (isinstance(dataset_size, numbers.Integral) and dataset_size > 0):
        raise ValueError(
            "`dataset_size` must be a positive integer, the number of "
            f"training samples. Received: dataset_size={dataset_size}"
        )
    if precision is None:
        return 1 / int(dataset_size)
    if not (
        isinstance(precision, numbers.Real) and 0 < precision < float("inf")
    ):
        raise ValueError(
            "`precision` must be a positive number, or None if the loss is a "
            f"negative log-likelihood. Received: precision={precision}"
        )
    return 2 / (float(precision) * int(dataset_size))
