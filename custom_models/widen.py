"""More units in a layer, and the same function."""

import math
import numbers as number_kinds
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from ._graph import Graph
from ._growth import Growth, compile_with_state, numbers
from ._surgery import Surgery, is_graph, rebuilt
from .kernel_mask import KernelMask

_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)
_LINEAR = (keras.layers.Dense, *_CONVOLUTIONS, *_TRANSPOSED)


def widen(
    model: keras.Model,
    layer_name: str,
    units: int,
    noise: float = 0.0,
    seed: int | None = None,
    optimizer: keras.optimizers.Optimizer | None = None,
) -> keras.Model:
    """Returns a new model with more units in a layer, and the same function.

    Use it to go on with a larger net from what a smaller one has learned. The
    new units are copies of old ones, drawn at random, with their incoming
    weights; the weights that lead on from a unit are divided by the number of
    its copies. So the outputs stay what they are, to about 1e-6 in float32.

    Copies that are exactly equal get equal gradients and never part. Give some
    `noise` (0.05, say), unless dropout or the like tells them apart.

    Layers between the widened one and the next dense or convolutional ones
    grow with it, if each channel's outputs depend on that channel alone: batch
    normalization, activations, dropout, pooling, flattening, your own. It is
    tried whether they do. What would have to fit the width of something else,
    such as a sum with a branch past the layer, is refused.

    Args:
        model: A built functional or sequential model. It is left as it is.
        layer_name: String. The name of a `Dense` layer, a convolution or a
            transposed one, which the model calls once.
        units: Integer. How many units or filters it shall have: more than it
            has.
        noise: Float, at least 0. The standard deviation of the normal noise on
            the incoming weights of the copies, as a multiple of the standard
            deviation of the layer's kernel. The function then is preserved
            only about. Default 0.
        seed: Optional integer. Fixes which units are copied, and the noise.
        optimizer: Optional. `model.optimizer`, whose state is carried over: the
            new model comes compiled as `model` is, with an optimizer of the
            same settings, step and learning rate. Its averages are those that
            the new model would have had: of a unit with c copies the
            gradients are a c-th, so the momentum is, and Adam's mean of
            squares a c²-th. Default `None`: the new model is not compiled.

    Returns:
        A new `keras.Model` of the same class and name.

    Raises:
        ValueError: If `model` is subclassed or not built; an argument is not as
            said above; what takes the layer's outputs cannot grow with it; or
            the layer's units are outputs of the model.

    Example:

    >>> model = keras.Sequential([
    ...     keras.Input((3,)),
    ...     keras.layers.Dense(4, "relu", name="hidden"),
    ...     keras.layers.Dense(2),
    ... ])
    >>> wide = widen(model, "hidden", units=10, seed=0)
    >>> x = keras.ops.ones((1, 3))
    >>> bool(keras.ops.max(keras.ops.abs(wide(x) - model(x))) < 1e-5)
    True

    Reference:

    - Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via
      Knowledge Transfer", [2015](https://arxiv.org/abs/1511.05641), section
      2.3. The noise is on the incoming weights of the copies, since it must
      part what they compute; the optimizer's state is not in the paper.
    """
    graph = Graph(model)
    layer = graph.layer(layer_name, _LINEAR, "a dense or convolutional")
    width = _width(layer)
    if not (isinstance(units, number_kinds.Integral) and units > width):
        raise ValueError(
            f"`units` must be an integer above {width}, the present width. "
            f"Received: units={units}"
        )
    if not (isinstance(noise, number_kinds.Real) and 0 <= noise < math.inf):
        raise ValueError(
            "`noise` must be a finite multiple, 0 or more, of the kernel's "
            f"standard deviation. Received: noise={noise}"
        )
    _refuse_unless_apart(layer)
    rng = np.random.default_rng(seed)
    origin = np.append(
        np.arange(width), rng.integers(width, size=units - width)
    )
    flow = _Flow(origin, _channel_axis(layer), layer)
    growing = _Growing(graph, flow)
    surgery = Surgery(
        {
            old: lambda copy, old=old: _with_width(
                copy, units if old is layer else None
            )
            for old in growing.axes
        }
    )
    forget = {weight.name for old in growing.axes for weight in old.weights}
    new = rebuilt(model, surgery, tuple(forget))
    growths = {}
    pairs = [*surgery.kept, *((old, wide) for old, wide, _ in surgery.replaced)]
    for old, wide in pairs:
        grown = growing.axes.get(old, {})
        for source, target in zip(old.weights, wide.weights, strict=True):
            growth = grown.get(source.name, Growth(source))
            growths[id(target)] = growth = growth._replace(old=source)
            if growth.origin is not None:
                target.assign(growth.weights())
    wide = surgery.counterparts[layer]
    if noise:
        _disturb(wide.kernel, _out_axis(layer), width, noise, rng)
    if optimizer is not None:
        compile_with_state(model, new, optimizer, growths)
    return new


class _Flow(NamedTuple):
    """Where the copied channels are in the outputs of an operation."""

    origin: np.ndarray
    axis: int  # Positive, the batch axis included.
    source: Any

    @property
    def share(self) -> np.ndarray:
        return 1 / np.bincount(self.origin)[self.origin]


class _Growing:
    """The layers that grow, and along which axis each of their weights does.

    `axes` holds for each layer a `Growth` by the name of a weight.
    """

    def __init__(self, graph: Graph, flow: _Flow):
        self.name = flow.source.name
        layer = flow.source
        _refuse_masked(layer)
        self.axes: dict[Any, dict[str, Growth]] = {
            layer: {
                "kernel": _incoming(layer.kernel, _out_axis(layer), flow),
                "bias": _incoming(layer.kernel, 0, flow),
            }
        }
        flows = {self.name: flow}
        for name, calls in graph.calls.items():
            taken = [flows[s] for call in calls for s in call if s in flows]
            if not taken:
                continue
            operation = graph.operations[name]
            if len(calls) > 1 or len(calls[0]) > 1:
                raise self.refusal(operation, "takes other tensors, too")
            (flow,) = taken
            if isinstance(operation, _LINEAR) and name != self.name:
                self.lead_on(operation, flow)
            else:
                flows[name] = self.through(operation, flow)
        if graph.outputs & flows.keys():
            raise ValueError(
                f"The units of '{self.name}' are outputs of the model, whose "
                "number must stay. Received: "
                f"layer_name='{self.name}'"
            )

    def refusal(self, operation: Any, why: str) -> ValueError:
        return ValueError(
            f"The layer '{self.name}' cannot be widened: '{operation.name}', a "
            f"{type(operation).__name__}, {why}. What takes its outputs must "
            "act on each channel alone, or be a dense or convolutional layer. "
            f"Received: layer_name='{self.name}'"
        )

    def lead_on(self, layer: Any, flow: _Flow) -> None:
        _refuse_masked(layer)
        if flow.axis != _channel_axis(layer) or _groups(layer) != 1:
            raise self.refusal(layer, "does not sum over all of its channels")
        self.axes[layer] = {
            "kernel": Growth(
                layer.kernel,
                layer.kernel.ndim - (1 if _is(layer, _TRANSPOSED) else 2),
                flow.origin,
                flow.share,
                weight_degree=1,
            )
        }

    def through(self, operation: Any, flow: _Flow) -> _Flow:
        """Returns where the channels are behind an operation, by trying it."""
        if is_graph(operation):
            raise self.refusal(operation, "is a model of its own")
        shape = [2, *(size or 4 for size in operation.input.shape[1:])]
        inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
        wider = np.take(inputs, flow.origin, flow.axis)
        if isinstance(operation, keras.layers.Flatten):
            places = np.arange(inputs[:1].size, dtype="float32")
            places = places.reshape([1, *shape[1:]])
            taken = np.take(places, flow.origin, flow.axis)
            before, after = (
                numbers(operation(p))[0].astype(int) for p in (places, taken)
            )
            origin = np.argsort(before)[after]
            return _Flow(origin, 1, operation)
        try:
            before, grown = self.twin(operation, inputs.shape, None)
            after, grown = self.twin(operation, wider.shape, flow)
            outputs, found = numbers(before(inputs)), numbers(after(wider))
        except Exception as error:
            raise self.refusal(operation, "takes no other width") from error
        for axis in range(1, outputs.ndim):
            if outputs.shape[axis] == shape[flow.axis]:
                expected = np.take(outputs, flow.origin, axis)
                if expected.shape == found.shape and np.allclose(
                    found, expected, rtol=1e-3, atol=1e-3
                ):
                    if grown:
                        self.axes[operation] = grown
                    return _Flow(flow.origin, axis, operation)
        raise self.refusal(operation, "mixes channels")

    def twin(
        self, operation: Any, shape: tuple[int, ...], flow: _Flow | None
    ) -> tuple[Callable, dict[str, Growth]]:
        """Returns the operation, as if new, for inputs of some shape."""
        if not isinstance(operation, keras.layers.Layer):
            return lambda x: operation.call(ops.convert_to_tensor(x)), {}
        twin = type(operation).from_config(operation.get_config())
        twin.build(shape)
        grown = {}
        for old, new in zip(operation.weights, twin.weights, strict=True):
            growth = Growth(old)
            sizes = zip(old.shape, new.shape, strict=True)
            axes = [i for i, (one, two) in enumerate(sizes) if one != two]
            if axes and flow is not None:
                (axis,) = axes
                growth = _incoming(old, axis, flow)
            grown[old.name] = growth
            new.assign(growth.weights())
        return twin, grown  # Not training, so without dropout.


def _incoming(weight: Any, axis: int, flow: _Flow) -> Growth:
    return Growth(weight, axis, flow.origin, flow.share, gradient_degree=1)


def _with_width(copy: Any, units: int | None) -> Any:
    """Returns an unbuilt layer like this, of another width if one is given."""
    config = copy.get_config()
    if units is not None:
        is_dense = isinstance(copy, keras.layers.Dense)
        config["units" if is_dense else "filters"] = int(units)
    return type(copy).from_config(config)


def _is(layer: Any, kinds: tuple[type, ...]) -> bool:
    # A transposed convolution is none of the other convolutions for Keras.
    return isinstance(layer, kinds)


def _width(layer: Any) -> int:
    return layer.units if hasattr(layer, "units") else layer.filters


def _groups(layer: Any) -> int:
    return getattr(layer, "groups", 1)


def _out_axis(layer: Any) -> int:
    return layer.kernel.ndim - (2 if _is(layer, _TRANSPOSED) else 1)


def _channel_axis(layer: Any) -> int:
    if getattr(layer, "data_format", None) == "channels_first":
        return 1
    return len(layer.output.shape) - 1


def _refuse_unless_apart(layer: Any) -> None:
    values = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    one, two = (
        numbers(layer.activation(ops.convert_to_tensor(v)))
        for v in (values, values[:, [0, 1, 2, 3, 4, 0]])
    )
    if one.shape != values.shape or not np.allclose(one, two[:, :5]):
        name = getattr(layer.activation, "__name__", layer.activation)
        raise ValueError(
            "The activation of a widened layer must act on each unit alone. "
            f"Received: layer_name='{layer.name}', activation {name}"
        )


def _refuse_masked(layer: Any) -> None:
    if isinstance(layer.kernel_constraint, KernelMask):
        raise ValueError(
            f"The layer '{layer.name}' is pruned, and its mask cannot grow: "
            f"`strip` the model first. Received: layer '{layer.name}'"
        )


def _disturb(
    kernel: Any, axis: int, width: int, noise: float, rng: Any
) -> None:
    values = numbers(kernel)
    moved = np.moveaxis(values, axis, -1)  # A view.
    copies = moved[..., width:]
    copies += noise * np.std(values) * rng.normal(size=copies.shape)
    kernel.assign(values)
