"""Attacks: inputs changed a little, so that a model's loss grows a lot."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops, tree

from ..custom_optimizers.autodiff import InnerScope, compiled
from ._perturbation import (
    Clip,
    as_float,
    ascend,
    check_count,
    check_perturbation,
    random_direction,
    random_in_ball,
    within,
)
from .training_step import gradient_by_inputs


def fast_gradient_sign(
    model: keras.Model,
    x: Any,
    y: Any,
    epsilon: float,
    clip: Clip = None,
    loss: Any = None,
    batch_size: int = 128,
    training: bool = False,
) -> np.ndarray:
    """Moves each input by `epsilon` in the direction that raises the loss.

    Use it to learn how much of a model's accuracy a tiny change takes away;
    hold `random_perturbation` of the same size beside it. One gradient per
    sample: cheap, and easy to resist. What claims robustness must withstand
    `projected_gradient_descent`, too. The model is left as it is, to the bit.

    Args:
        model: A `keras.Model` with one input, compiled if `loss` is `None`.
        x: Array `(samples, ...)` of inputs, of rank 2 or more.
        y: Targets, as the loss takes them.
        epsilon: Float of at least 0, in the unit of the inputs.
        clip: Optional pair `(low, high)`, the range of the inputs.
        loss: Optional Keras loss, or its name. Default `None`: what the model
            was compiled with.
        batch_size: Integer of at least 1. Samples per call.
        training: Boolean. Whether the model runs in training mode: batch
            normalization with the statistics of the batch, dropout on.

    Returns:
        NumPy array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ValueError: If an argument is out of the range said above.

    Example:

    >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> net.layers[0].set_weights([np.array([[3.0], [-1.0]]), np.zeros(1)])
    >>> x, y = np.zeros((1, 2)), np.full((1, 1), -1.0)
    >>> fast_gradient_sign(net, x, y, epsilon=0.5, loss="mse")
    array([[ 0.5, -0.5]])

    Reference:

    - Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial
      Examples", [2014](https://arxiv.org/abs/1412.6572), section 4.
    """
    clip = check_perturbation(epsilon, "linf", clip)
    return _attack(
        model,
        x,
        y,
        lambda x: None,
        loss,
        batch_size,
        training,
        epsilon=epsilon,
        norm="linf",
        clip=clip,
        step_size=epsilon,
        steps=1,
    )


def projected_gradient_descent(
    model: keras.Model,
    x: Any,
    y: Any,
    epsilon: float,
    step_size: float | None = None,
    steps: int = 10,
    norm: str = "linf",
    clip: Clip = None,
    random_start: bool = False,
    seed: int | None = None,
    loss: Any = None,
    batch_size: int = 128,
    training: bool = False,
) -> np.ndarray:
    """Climbs the loss in steps, and stays within `epsilon` of each input.

    Use it to judge robustness: the usual first-order attack. Each step goes in
    the direction that is steepest in the norm, the sign of the gradient or its
    direction, and what has left the ball is projected back. The model is left
    as it is, to the bit.

    Args:
        model: A `keras.Model` with one input, compiled if `loss` is `None`.
        x: Array `(samples, ...)` of inputs, of rank 2 or more.
        y: Targets, as the loss takes them.
        epsilon: Float of at least 0. The radius, in the unit of the inputs.
        step_size: Float of at least 0. Default `None`: `2.5 * epsilon /
            steps`, so that any point of the ball can be reached.
        steps: Integer of at least 1.
        norm: `"linf"` (each feature changes by `epsilon` at most) or `"l2"`
            (the Euclidean length of a sample's change does).
        clip: Optional pair `(low, high)`, the range of the inputs.
        random_start: Boolean. Whether to start from a point drawn uniformly
            from the ball, as Madry et al. do, or from `x`.
        seed: Optional integer that fixes the random start.
        loss: Optional Keras loss, or its name. Default `None`: what the model
            was compiled with.
        batch_size: Integer of at least 1. Samples per call.
        training: Boolean. Whether the model runs in training mode.

    Returns:
        NumPy array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ValueError: If an argument is out of the range said above.

    Example:

    >>> net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> net.layers[0].set_weights([np.array([[3.0], [-4.0]]), np.zeros(1)])
    >>> x, y = np.zeros((1, 2)), np.full((1, 1), -1.0)
    >>> projected_gradient_descent(net, x, y, 0.5, norm="l2", loss="mse")
    array([[ 0.3, -0.4]])

    Reference:

    - Madry, Makelov, Schmidt, Tsipras and Vladu, "Towards Deep Learning Models
      Resistant to Adversarial Attacks",
      [2017](https://arxiv.org/abs/1706.06083), section 2.1. They take the best
      of several random starts; call it with several seeds for that.
    """
    clip = check_perturbation(epsilon, norm, clip, step_size, steps)
    generator = keras.random.SeedGenerator(seed)
    return _attack(
        model,
        x,
        y,
        lambda x: (
            random_in_ball(x, epsilon, norm, generator)
            if random_start
            else None
        ),
        loss,
        batch_size,
        training,
        epsilon=epsilon,
        norm=norm,
        clip=clip,
        step_size=2.5 * epsilon / steps if step_size is None else step_size,
        steps=steps,
    )


def random_perturbation(
    x: Any,
    epsilon: float,
    norm: str = "linf",
    clip: Clip = None,
    seed: int | None = None,
) -> np.ndarray:
    """Moves each input by `epsilon` in a random direction.

    Use it as the control of an attack: a change of the same size that knows
    nothing of the model. For `"linf"` each feature changes by `epsilon`, up or
    down by chance, as the fast gradient sign does; for `"l2"` all directions
    are equally likely.

    Args:
        x: Array `(samples, ...)` of inputs, of rank 2 or more.
        epsilon: Float of at least 0, in the unit of the inputs.
        norm: `"linf"` or `"l2"`: what the size of the change is.
        clip: Optional pair `(low, high)`, the range of the inputs.
        seed: Optional integer that fixes the directions.

    Returns:
        NumPy array of the shape of `x`, and of its dtype if that is a float.

    Raises:
        ValueError: If an argument is out of the range said above.

    Example:

    >>> moved = random_perturbation(np.zeros((1, 4)), epsilon=0.5, seed=1)
    >>> [float(value) for value in np.abs(moved[0])]
    [0.5, 0.5, 0.5, 0.5]
    """
    clip = check_perturbation(epsilon, norm, clip)
    inputs = as_float(x)
    direction = random_direction(inputs, norm, keras.random.SeedGenerator(seed))
    return _in_dtype_of(x, within(inputs + epsilon * direction, clip))


def _attack(
    model: keras.Model,
    x: Any,
    y: Any,
    start: Callable[[Any], Any],
    loss: Any,
    batch_size: int,
    training: bool,
    **settings: Any,
) -> np.ndarray:
    """Returns perturbed inputs, a batch per compiled call."""
    check_count("batch_size", batch_size)
    if loss is None and not model.compiled:
        raise ValueError(
            "`loss` must be given, or `model` be compiled with one. "
            "Received: loss=None and a model that is not compiled"
        )
    as_float(x)  # Refuses what has no samples to count.
    y = tree.map_structure(np.asarray, y)
    for target in tree.flatten(y):
        if len(target) != len(x):
            raise ValueError(
                "`x` and `y` must hold the same number of samples. "
                f"Received: x of {len(x)} and y of {len(target)}"
            )
    if not len(x):
        raise ValueError("`x` must hold at least one sample. Received: 0")
    objective = _objective(model, loss, training)
    batches = [
        (as_float(x[i : i + batch_size]), _rows(y, i, batch_size))
        for i in range(0, len(x), batch_size)
    ]
    if not model.built:
        model(batches[0][0])
    if len(tree.flatten(y)) > 1:
        # Its first use makes metrics of each loss, which none may do below.
        with InnerScope(collect_losses=True):
            objective(batches[0][0][:1], _rows(batches[0][1], 0, 1))

    def one_batch(x, y, start):
        def gradient(at):
            return gradient_by_inputs(lambda at: objective(at, y), at)

        return ascend(gradient, x, start, **settings)

    if len(batches) > 1 or keras.config.backend() == "jax":
        # For one it takes longer than it saves, but where it is done anyway.
        one_batch = compiled(one_batch)
    return _in_dtype_of(
        x,
        *(one_batch(inputs, y, start(inputs)) for inputs, y in batches),
    )


def _objective(model: keras.Model, loss: Any, training: bool) -> Callable:
    """Returns the loss, summed over samples, as a function of a batch."""
    loss_of = None if loss is None else keras.losses.get(loss)

    def objective(x, y):
        y_pred = model(x, training=training)
        if loss_of is None:
            value = model.compute_loss(
                x=x, y=y, y_pred=y_pred, training=training
            )
        else:
            value = ops.mean(loss_of(y, y_pred))
        # In half precision the gradient of a mean may vanish.
        return value * ops.cast(ops.shape(x)[0], value.dtype)

    return objective


def _rows(arrays: Any, start: int, count: int) -> Any:
    return tree.map_structure(
        lambda a: ops.convert_to_tensor(a[start : start + count]), arrays
    )


def _in_dtype_of(x: Any, *batches: Any) -> np.ndarray:
    dtype = keras.backend.standardize_dtype(getattr(x, "dtype", "float32"))
    found = np.concatenate([ops.convert_to_numpy(batch) for batch in batches])
    return found.astype(dtype if "float" in dtype else found.dtype)
