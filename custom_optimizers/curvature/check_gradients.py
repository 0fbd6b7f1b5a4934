"""Gradients, checked against differences of the loss."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from ..autodiff import FlatVariables, Objective, compiled
from ._comparison import Comparison, judge
from ._loss_of_layer import loss_of_layer
from .differences import slope
from .gradient_report import GradientReport

# Relative errors that rounding of the loss explains, and tolerances above.
_PRECISION = {"float64": 1e-15, "float32": 2e-7}
_TOLERANCE = {"float64": 1e-5, "float32": 2e-2}


def check_gradients(
    target: Any,
    inputs: Any = None,
    targets: Any = None,
    *,
    variables: list[Any] | None = None,
    gradients: Callable | None = None,
    samples: int | None = 6,
    tolerance: float | None = None,
    training: bool = False,
    seed: int = 0,
) -> GradientReport:
    """Checks gradients against differences of the loss.

    Use it on a layer with a gradient of its own (`keras.ops.custom_gradient`),
    on a training step written by hand, or on any loss whose gradient looks
    odd. For each weight, the derivative in two random directions and for some
    single entries is compared with central differences, of the step that suits
    it best. The report names the weights that are wrong.

    Float32 shows errors of more than about 2 %: give the model
    `dtype="float64"` to see small ones. The check takes place a little beside
    the present weights, where no ReLU is exactly at its kink, and what a kink
    nearby makes doubtful is counted as undecided, not as wrong. Random draws
    are the same in each evaluation, so `training=True` may be checked, too.
    Nothing is changed: neither weights nor statistics nor seeds.

    Args:
        target: A `keras.layers.Layer` or model, or a function without
            arguments that returns a scalar loss of `variables`.
        inputs: What the layer or model is called on. Float inputs are
            checked like weights.
        targets: Optional. With them, the loss is the one that the model was
            compiled with; otherwise a fixed random combination of outputs.
        variables: List of float `keras.Variable`s. Default: the trainable
            ones of the layer. Needed if `target` is a function.
        gradients: Optional function without arguments that returns an array
            for each of `variables`: what to check in place of automatic
            differentiation. It is called at shifted weights.
        samples: Positive integer, the single entries of each weight to check:
            half of them those with the largest gradients, half drawn. `None`
            checks all. Default 6.
        tolerance: Optional positive float, the largest relative error.
            Default: 2e-2 in float32 and 1e-5 in float64.
        training: Boolean, handed on to the layer. Default `False`.
        seed: Integer. Fixes the directions, the entries and the shift.

    Returns:
        A `GradientReport`, with `passed`, `wrong` and `weights`; `print` it.

    Raises:
        ValueError: If `inputs` or `variables` are missing where they are
            needed, or `samples` or `tolerance` is not positive.

    Example:

    >>> w = keras.Variable([1.0, 2.0], name="w")
    >>> loss = lambda: keras.ops.sum(w * w)
    >>> check_gradients(loss, variables=[w]).passed
    True
    >>> forgotten_factor = lambda: [w.value]
    >>> check_gradients(loss, variables=[w], gradients=forgotten_factor).wrong
    ['w']

    Reference:

    - Rumelhart, Hinton and Williams, "Learning representations by
      back-propagating errors", Nature 323, 1986, is where gradients were
      first checked so. The extrapolation is Ridders', 1982.
    """
    if samples is not None and not samples > 0:
        raise ValueError(
            "`samples` must be a positive integer, or None for all entries. "
            f"Received: samples={samples}"
        )
    if tolerance is not None and not tolerance > 0:
        raise ValueError(
            "`tolerance` must be a positive number. "
            f"Received: tolerance={tolerance}"
        )
    rng = np.random.default_rng(seed)
    names: dict[int, str] = {}
    if isinstance(target, keras.layers.Layer):
        if inputs is None:
            raise ValueError(
                "`inputs` must be given, for the layer to be called on. "
                "Received: inputs=None"
            )
        loss, variables, names = loss_of_layer(
            target, inputs, targets, variables, training, rng
        )
    elif not callable(target) or variables is None:
        raise ValueError(
            "`target` must be a layer, a model, or a function without "
            "arguments, and a function needs `variables`. "
            f"Received: target={target}, variables={variables}"
        )
    else:
        loss = target

    flat = FlatVariables(variables)
    value = flat.function(loss)
    here = ops.convert_to_numpy(flat.read())
    scales = np.concatenate(
        [
            np.full(size, max(np.sqrt(np.mean(np.square(part))), 0.1))
            for size, part in zip(
                flat.sizes,
                np.split(here, np.cumsum(flat.sizes)[:-1]),
                strict=True,
            )
        ]
    )
    points = here + 0.01 * scales * rng.uniform(-1, 1, (2, flat.size))
    slopes = [
        _gradient(gradients or Objective(value), flat, here, point)
        for point in points
    ]
    evaluate = compiled(value)
    precision = _PRECISION.get(flat.dtype, 1e-2)
    if tolerance is None:
        tolerance = _TOLERANCE.get(flat.dtype, 0.2)

    def at(vector: np.ndarray) -> float:
        return float(evaluate(ops.convert_to_tensor(vector, flat.dtype)))

    def compare(direction: np.ndarray, unit: float) -> Comparison:
        # Two kinks may look like another slope: what seems wrong is looked at
        # again at the second point.
        for point, gradient in zip(points, slopes, strict=True):
            found = slope(
                lambda t, point=point: at(point + t * unit * direction),
                precision,
                tolerance / 4,
            )
            compared = Comparison(
                float(gradient @ direction),
                found.value / unit,
                found.error / unit,
                tolerance,
            )
            if not compared.wrong:
                break
        return compared

    checks, start = [], 0
    for variable, size in zip(flat.variables, flat.sizes, strict=True):
        name = names.get(id(variable), variable.path)
        own = range(start, start + size)
        chosen = _entries(np.abs(slopes[0][own]), samples, rng)
        directions = [rng.choice([-1.0, 1.0], size) for _ in range(2)]
        directions += [np.eye(1, size, entry)[0] for entry in chosen]
        whole = np.zeros(flat.size)
        found = []
        for direction in directions:
            whole[own] = direction
            # In steps of at most a tenth of the weights' size.
            found.append(compare(whole, 0.1 * scales[start]))
        places = ["a direction"] * 2 + [
            tuple(map(int, np.unravel_index(entry, variable.shape)))
            for entry in chosen
        ]
        checks.append(judge(name, places, found))
        start += size
    return GradientReport(tuple(checks))


def _gradient(gradients, flat, here, point) -> np.ndarray:
    """Returns the gradient at a point, as float64, so that sums are exact."""
    tensor = ops.convert_to_tensor(point, flat.dtype)
    if isinstance(gradients, Objective):
        _, gradient = compiled(gradients)(tensor)
    else:
        flat.write(tensor)
        try:
            arrays = gradients()
            received = [np.shape(array) for array in arrays]
            needed = [tuple(variable.shape) for variable in flat.variables]
            if received != needed:
                raise ValueError(
                    "`gradients` must return one array of each variable's "
                    f"shape, {needed}. Received: arrays of shapes {received}"
                )
            gradient = flat.flatten(map(ops.convert_to_tensor, arrays))
        finally:
            flat.write(ops.convert_to_tensor(here, flat.dtype))
    return ops.convert_to_numpy(gradient).astype("float64")


def _entries(sizes: np.ndarray, samples: int | None, rng) -> np.ndarray:
    """Returns which entries to check: the largest, and some others."""
    if samples is None or samples >= len(sizes):
        return np.arange(len(sizes))
    by_size = np.argsort(-sizes)
    largest = by_size[: (samples + 1) // 2]
    others = rng.choice(by_size[len(largest) :], samples // 2, replace=False)
    return np.concatenate([largest, others])
