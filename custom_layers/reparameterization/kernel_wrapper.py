"""Kernels that stand in for a layer's own while the layer is called."""

import contextlib
import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
from keras import ops

if keras.config.backend() == "tensorflow":
    from ._tensorflow import outside_of_traces
else:  # Other backends build before they trace.
    outside_of_traces = contextlib.nullcontext

# The initializers by which a layer that is not built yet tells of kernels.
INITIALIZERS = {
    "kernel": ("kernel_initializer", "depthwise_initializer"),
    "recurrent_kernel": ("recurrent_initializer",),
    "depthwise_kernel": ("depthwise_initializer",),
    "pointwise_kernel": ("pointwise_initializer",),
    "embeddings": ("embeddings_initializer",),
}
# Layers that are `activation(linear(inputs, kernel) + bias)`.
LINEAR_LAYERS = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    keras.layers.DepthwiseConv1D,
    keras.layers.DepthwiseConv2D,
)
_TRANSPOSED = LINEAR_LAYERS[5:8]
_DEPTHWISE = LINEAR_LAYERS[8:]
_ABSENT = object()


def unrounded(content: Any, dtype: str) -> Any:
    """Returns a variable as a tensor, whatever the policy of the layer.

    A layer with a mixed policy reads its variables rounded to float16, in
    which sums of squares overflow. Public Keras has no way around that for a
    variable which somebody else has made.

    Args:
        content: A variable, or a tensor in its place.
        dtype: String. The dtype of the result.

    Returns:
        A tensor of that dtype.

    Example:

    >>> float(unrounded(keras.Variable(1.5), "float32"))
    1.5
    """
    if not isinstance(content, keras.Variable):
        return ops.cast(content, dtype)
    autocast, content._autocast = content._autocast, False
    try:
        return ops.cast(content, dtype)
    finally:
        content._autocast = autocast


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel: the attribute of a layer that holds it.

    Args:
        owner: The built layer whose attribute it is: of an `LSTM`, its cell.
        attribute: String. The attribute's name, such as `"_kernel"`.

    Example:

    >>> dense = keras.layers.Dense(3)
    >>> dense.build((None, 2))
    >>> (kernel,) = find_kernels(dense)
    >>> kernel.name, kernel.shape, kernel.fan_in_axes
    ('kernel', (2, 3), (0,))
    """

    owner: keras.layers.Layer
    attribute: str

    @property
    def name(self) -> str:
        """The attribute's public name."""
        return self.attribute.lstrip("_")

    @property
    def content(self) -> Any:
        """What the attribute holds now: a variable, or what replaced it."""
        return vars(self.owner)[self.attribute]

    @property
    def shape(self) -> tuple[int, ...]:
        """The kernel's shape."""
        return tuple(self.content.shape)

    @property
    def dtype(self) -> str:
        """The dtype of `value`: that of the variable, float32 at the least."""
        # Not `result_type`, which makes float32 of float64 on PyTorch and JAX.
        dtype = self.owner.variable_dtype
        return "float32" if dtype in ("bfloat16", "float16") else dtype

    @property
    def value(self) -> Any:
        """The kernel as a tensor, in float32 whatever the policy."""
        return unrounded(self.content, self.dtype)

    @property
    def fan_in_axes(self) -> tuple[int, ...]:
        """The axes over which the layer sums; the others count its units."""
        axes = range(len(self.shape))
        if isinstance(self.owner, keras.layers.EinsumDense):
            _, kernel, output = (
                self.owner.equation.replace("->", ",").replace(" ", "")
            ).split(",")
            return tuple(i for i in axes if kernel[i] not in output)
        if self.name == "depthwise_kernel" or isinstance(
            self.owner, _DEPTHWISE
        ):
            return tuple(axes[:-2])
        if isinstance(self.owner, _TRANSPOSED):
            return tuple(i for i in axes if i != axes[-2])
        return tuple(axes[:-1])

    @property
    def fan_in(self) -> int:
        """How many weights each unit sums over."""
        return math.prod(self.shape[axis] for axis in self.fan_in_axes)


def find_kernels(
    layer: keras.layers.Layer, names: Iterable[str] = INITIALIZERS
) -> list[Kernel]:
    """Returns the kernels of a layer and of the layers inside it.

    Args:
        layer: A built layer.
        names: The public names of the kernels to look for. Default: all.

    Returns:
        A list of `Kernel`s, always in the same order.

    Example:

    >>> lstm = keras.layers.LSTM(3)
    >>> lstm.build((None, None, 2))
    >>> [kernel.name for kernel in find_kernels(lstm)]
    ['kernel', 'recurrent_kernel']
    """
    names = set(names)
    return [
        Kernel(owner, attribute)
        # Keras has no public walk over nested layers.
        for owner in layer._flatten_layers()
        for attribute, content in vars(owner).items()
        if attribute.lstrip("_") in names
        and (isinstance(content, keras.Variable) or ops.is_tensor(content))
        and "float" in keras.backend.standardize_dtype(content.dtype)
    ]


@contextlib.contextmanager
def replaced(
    replacements: Iterable[tuple[keras.layers.Layer, str, Any]],
) -> Iterator[None]:
    """Replaces attributes of layers while the context is open.

    Keras' `kernel` is a property without a setter, and a layer's `__setattr__`
    tracks what is assigned. So the values are put where attributes lie, past
    both, and what was there comes back whatever happens.

    Args:
        replacements: Triples of layer, attribute's name and the new value.

    Yields:
        Nothing.

    Example:

    >>> dense = keras.layers.Dense(1, use_bias=False)
    >>> dense.build((None, 1))
    >>> with replaced([(dense, "_kernel", keras.ops.array([[5.0]]))]):
    ...     float(dense(keras.ops.ones((1, 1)))[0, 0])
    5.0
    """
    before = []
    try:
        for layer, attribute, value in replacements:
            attributes = vars(layer)
            before.append(
                (attributes, attribute, attributes.get(attribute, _ABSENT))
            )
            attributes[attribute] = value
        yield
    finally:
        for attributes, attribute, value in reversed(before):
            if value is _ABSENT:
                del attributes[attribute]
            else:
                attributes[attribute] = value


class KernelWrapper(keras.layers.Wrapper):
    """Base of the wrappers that call a layer with other kernels than its own.

    Use it to write another one: say in `effective_kernels` which kernels the
    layer is called with, and add the weights that it takes in `add_weights`.
    (What starts from the kernel needs an initializer, which on JAX may be
    called later.) The wrapped layer keeps its kernels as its own variables,
    under their own names, so they start as they would without the wrapper.

    Args:
        layer: The layer to wrap: one with a kernel, built or not. It may be
            an `RNN`, whose kernels are its cell's; they are then replaced
            once for the whole sequence.
        **kwargs: Base layer arguments, such as `name`. The default `dtype`
            is the layer's own.

    Call arguments:
        inputs: What the layer takes.
        training: Boolean, handed on to the layer.
        mask: Optional mask, handed on to the layer if it takes one.
        **kwargs: Further arguments of the layer, such as `initial_state`.

    Returns:
        What the layer returns.

    Raises:
        ValueError: If `layer` is no layer, has no kernel or is an RNN cell.

    Example:

    >>> class Doubled(KernelWrapper):
    ...     def effective_kernels(self, kernels, training):
    ...         return [2 * kernel.value for kernel in kernels]
    >>> dense = keras.layers.Dense(1, kernel_initializer="ones")
    >>> float(Doubled(dense)(keras.ops.ones((1, 3)))[0, 0])
    6.0
    """

    # Which kernels the wrapper replaces, by their public names.
    kernel_names: Sequence[str] = tuple(INITIALIZERS)

    def __init__(self, layer: keras.layers.Layer, **kwargs):
        if isinstance(layer, keras.layers.Layer):
            kwargs.setdefault("dtype", layer.dtype_policy)
        super().__init__(layer, **kwargs)
        if hasattr(layer, "state_size") and not isinstance(
            layer, keras.layers.RNN
        ):
            raise ValueError(
                "`layer` must not be an RNN cell, whose kernels would be "
                "replaced anew at each step: wrap the layer that runs it, "
                f"`{type(self).__name__}(keras.layers.RNN(cell))`. "
                f"Received: layer={layer}"
            )
        if not (self.kernels or self._may_get_kernels()):
            raise self._no_kernel()
        self.supports_masking = layer.supports_masking

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels of the wrapped layer; empty before it is built."""
        return find_kernels(self.layer, self.kernel_names)

    def _may_get_kernels(self) -> bool:
        initializers = {
            initializer
            for name in self.kernel_names
            for initializer in INITIALIZERS[name]
        }
        return any(
            any(hasattr(owner, name) for name in initializers)
            # What somebody's own layer will build, nobody can know.
            or not (owner.built or type(owner).__module__.startswith("keras."))
            for owner in self.layer._flatten_layers()
        )

    def _no_kernel(self) -> ValueError:
        return ValueError(
            f"`layer` must have a kernel ({', '.join(self.kernel_names)}), "
            "such as keras.layers.Dense or keras.layers.Conv2D. "
            f"Received: layer={self.layer}"
        )

    def build(self, input_shape=None):
        with outside_of_traces():
            super().build(input_shape)
            kernels = self.kernels
            if not kernels:
                raise self._no_kernel()
            self.add_weights(kernels, input_shape)

    def add_weights(
        self, kernels: list[Kernel], input_shape: tuple[int | None, ...]
    ) -> None:
        """Adds the wrapper's own weights. By default there are none.

        Args:
            kernels: The kernels of the layer, which may be read here.
            input_shape: Tuple. The shape of the inputs.
        """

    def effective_kernels(
        self, kernels: list[Kernel], training: bool | None
    ) -> list[Any]:
        """Returns what the layer is called with in the place of its kernels.

        Args:
            kernels: The kernels of the layer.
            training: Boolean, whether the layer is being trained.

        Returns:
            A list of tensors, one for each kernel. By default the kernels.
        """
        del training
        return [kernel.value for kernel in kernels]

    def call(self, inputs, training=None, mask=None, **kwargs):
        if mask is not None and "mask" in self.layer.call_signature_parameters:
            kwargs["mask"] = mask
        kernels = self.kernels
        values = self.effective_kernels(kernels, training)
        with replaced(
            (k.owner, k.attribute, ops.cast(value, k.owner.compute_dtype))
            for k, value in zip(kernels, values, strict=True)
        ):
            outputs = self.layer(inputs, **kwargs)
        return keras.tree.map_structure(
            lambda output: ops.cast(output, self.compute_dtype), outputs
        )

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def compute_mask(self, inputs, mask=None):
        return self.layer.compute_mask(inputs, mask)

    def strip(self) -> keras.layers.Layer:
        """Returns a plain layer that does what this one does at inference.

        Returns:
            A new layer of the wrapped layer's class, name and weights, whose
            kernels are those that the wrapped layer is called with.

        Raises:
            ValueError: If the wrapper is not built.
        """
        if not self.built:
            raise ValueError(
                f"Only a built {type(self).__name__} can be stripped: call "
                f"it, or its model, on data first. Received: {self}"
            )
        plain = type(self.layer).from_config(self.layer.get_config())
        plain.build_from_config(self.layer.get_build_config())
        plain.set_weights(self.layer.get_weights())
        values = self.effective_kernels(self.kernels, training=False)
        targets = find_kernels(plain, self.kernel_names)
        for target, value in zip(targets, values, strict=True):
            target.content.assign(value)
        return plain
