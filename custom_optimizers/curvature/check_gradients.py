"""Gradients, checked against differences of the loss."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ..autodiff import FlatVariables, Objective, compiled
from .differences import slope
from .gradient_report import GradientReport, WeightCheck

# Relative errors that rounding of the loss explains, and tolerances above.
_PRECISION = {"float64": 1e-15, "float32": 2e-7}
_TOLERANCE = {"float64": 1e-5, "float32": 2e-2}


class Comparison(NamedTuple):
    """A derivative by automatic differentiation, and by differences.

    Args:
        gradient: Float.
        difference: Float.
        error: Float, about how far `difference` may be off.
        tolerance: Float, the relative error that is allowed.

    Example:

    >>> Comparison(2.0, 1.0, error=0.01, tolerance=0.02).wrong
    True
    """

    gradient: float
    difference: float
    error: float
    tolerance: float

    @property
    def relative_error(self) -> float:
        """The difference of both, as a share of the larger one."""
        size = max(abs(self.gradient), abs(self.difference))
        return abs(self.gradient - self.difference) / size if size else 0.0

    @property
    def decided(self) -> bool:
        """Whether a gradient twice as large would be seen."""
        size = max(abs(self.gradient), abs(self.difference))
        return 3 * self.error <= size / 2

    @property
    def wrong(self) -> bool:
        """Whether the gradient is surely off."""
        size = max(abs(self.gradient), abs(self.difference))
        allowed = self.tolerance * size + 3 * self.error
        off = abs(self.gradient - self.difference)
        return self.decided and not off <= allowed


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
        loss, variables, names = _loss_of_layer(
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
        checks.append(_judge(name, places, found))
        start += size
    return GradientReport(tuple(checks))


def _loss_of_layer(layer, inputs, targets, variables, training, rng):
    """Returns a layer's loss, its variables, and names for its inputs."""
    held: dict[int, str] = {}
    if not layer.built:
        layer(inputs)

    def hold(array):
        tensor = ops.convert_to_tensor(array)
        if "float" not in keras.backend.standardize_dtype(tensor.dtype):
            return tensor
        variable = keras.Variable(tensor, dtype=layer.variable_dtype)
        held[id(variable)] = f"inputs[{len(held)}]" if held else "inputs"
        return variable

    def call():
        read = keras.tree.map_structure(ops.convert_to_tensor, inputs)
        if "training" in layer.call_signature_parameters:
            return layer(read, training=training)
        return layer(read)

    inputs = keras.tree.map_structure(hold, inputs)
    if variables is None:
        of_inputs = [v for v in keras.tree.flatten(inputs) if id(v) in held]
        variables = [*layer.trainable_variables, *of_inputs]
    # Not the sum of outputs: of softmax it would be constant.
    with keras.StatelessScope():
        weights = keras.tree.map_structure(
            lambda output: ops.convert_to_tensor(
                rng.normal(size=tuple(output.shape)), output.dtype
            ),
            call(),
        )

    def loss():
        outputs = call()
        if targets is not None:
            return layer.compute_loss(inputs, targets, outputs)
        products = keras.tree.map_structure(
            lambda output, weight: ops.sum(output * weight), outputs, weights
        )
        return sum(keras.tree.flatten(products)) + sum(layer.losses)

    return loss, variables, held


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


def _judge(
    name: str, places: list[Any], found: list[Comparison]
) -> WeightCheck:
    worst = max(
        range(len(found)),
        key=lambda n: (found[n].decided, found[n].relative_error),
    )
    return WeightCheck(
        name,
        passed=not any(compared.wrong for compared in found),
        checks=len(found),
        undecided=sum(not compared.decided for compared in found),
        where=places[worst],
        gradient=found[worst].gradient,
        difference=found[worst].difference,
    )
