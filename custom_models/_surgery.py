"""The walk through a model that copies it with other layers."""

import contextlib
import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

Replacing = Callable[[keras.layers.Layer], keras.layers.Layer | None]


def is_graph(thing: Any) -> bool:
    """Returns whether it is a functional or sequential model."""
    # A functional model is a `Function`, too; its own class is private.
    return isinstance(thing, keras.Model) and isinstance(
        thing, keras.Sequential | keras.Function
    )


def copied(model: Any) -> Any:
    """Returns a copy of a functional or sequential model, not compiled."""
    return rebuilt(model, Surgery({}))


def rebuilt(model: Any, surgery: "Surgery", forget: Sequence[str] = ()) -> Any:
    """Returns what the surgery makes of a model, with its weights."""
    if not is_graph(model):
        raise ValueError(
            "`model` must be a functional or sequential model, whose layers "
            "and their order Keras knows; a subclassed model knows them only "
            f"itself. Received: model={model}"
        )
    new = surgery.rebuild(model)
    surgery.carry_over(forget)
    return new


def _fits(key: Any, layer: keras.layers.Layer) -> bool:
    if isinstance(key, str):
        return layer.name == key
    return layer is key or (isinstance(key, type) and isinstance(layer, key))


class Surgery:
    """Which layer of the new model stands for which of the old."""

    def __init__(
        self,
        mapping: Mapping[Any, Replacing],
        after: Mapping[Any, Sequence[keras.layers.Layer]] | None = None,
    ):
        self.mapping = mapping
        self.after = after or {}  # What to insert, by the old layer before it.
        self.unused = list(mapping)
        self.counterparts: dict[Any, Any] = {}  # Of all operations.
        self.models: list[tuple[Any, Any]] = []  # Inner before outer ones.
        self.kept: list[tuple[Any, Any]] = []
        self.replaced: list[tuple[Any, Any, Any]] = []  # With the copy.

    def rebuild(self, model: Any) -> Any:
        inputs = call_function = None
        if not isinstance(model, keras.Sequential):
            call_function = self.call
            # `clone_model` would forget that an input is sparse or optional.
            sources = {
                id(layer.output): layer
                for layer in model.layers
                if isinstance(layer, keras.layers.InputLayer)
            }
            inputs = keras.tree.map_structure(
                lambda tensor: _copy(sources[id(tensor)]).output, model.input
            )
        if isinstance(model, keras.Sequential) and any(
            old in self.after for old in model.layers
        ):
            new = self.longer(model)
        else:
            with _as_if_not_compiled(model):
                new = keras.models.clone_model(
                    model, inputs, self.counterpart, call_function
                )
        if type(new) is not type(model):
            raise ValueError(
                f"'{model.name}' is a {type(model).__name__}, whose "
                "constructor is its own, so no other can be made. Give a plain "
                "model: `keras.Model(model.inputs, model.outputs)` or "
                f"`keras.Sequential(model.layers)`. Received: {model}"
            )
        self.models.append((model, new))
        return new

    def call(self, layer: Any, *args, **kwargs) -> Any:
        outputs = _call(layer, *args, **kwargs)
        for old, inserted in self.after.items():
            if self.counterparts.get(old) is layer:
                for following in inserted:
                    outputs = following(outputs)
        return outputs

    def longer(self, model: keras.Sequential) -> keras.Sequential:
        layers = [
            keras.Input(
                batch_shape=model.input_shape, dtype=model.inputs[0].dtype
            )
        ]
        for old in model.layers:
            layers += [self.counterpart(old), *self.after.get(old, [])]
        return keras.Sequential(layers, name=model.name)

    def counterpart(self, operation: Any) -> Any:
        if operation not in self.counterparts:
            self.counterparts[operation] = (
                self.rebuild(operation)
                if is_graph(operation)
                else self.kept_or_replaced(operation)
            )
        return self.counterparts[operation]

    def kept_or_replaced(self, old: Any) -> Any:
        copy = _copy(old)
        if not isinstance(old, keras.layers.Layer):
            return copy  # An operation, which has no weights.
        fitting = [key for key in self.mapping if _fits(key, old)]
        self.unused = [key for key in self.unused if key not in fitting]
        if not fitting:
            self.kept.append((old, copy))
            return copy
        # Now, because what a wrapper adds may start from the kernel.
        _carry_state(old, copy)
        with _default_policy(old.dtype_policy):
            new = self.mapping[fitting[0]](copy)
        if new is None or new is copy:
            self.kept.append((old, copy))
            return copy
        if not isinstance(new, keras.layers.Layer) or any(
            new is other for other in self.counterparts.values()
        ):
            raise ValueError(
                "A function of `mapping` must return a new layer each time, or "
                f"`None`. Received: {new} for layer '{old.name}'"
            )
        new.name = old.name
        new.trainable = new.trainable and old.trainable
        self.replaced.append((old, new, copy))
        return new

    def carry_over(self, forget: Sequence[str]) -> None:
        """Gives the new model the weights and flags of the old one."""
        self.refuse_what_copies_cannot_share()
        flags = [(new, new.trainable) for _, new, _ in self.replaced]
        for old, copy in self.kept:
            _carry_state(old, copy)
            flags += [
                (inner, outer.trainable)
                for outer, inner in zip(
                    _within(old), _within(copy), strict=True
                )
            ]
        for old, new, copy in self.replaced:
            # A wrapped copy has its weights already.
            if old.built and copy not in _within(new):
                _build_as(old, new)
                _carry_by_name(old, new, forget)
        # A flag is handed down, so that of a model comes before its layers'.
        outer_first = [(new, old.trainable) for old, new in self.models[::-1]]
        for layer, trainable in outer_first + flags:
            if layer.trainable != trainable:
                layer.trainable = trainable

    def refuse_what_copies_cannot_share(self) -> None:
        owners: dict[Any, str] = {}
        for old in [pair[0] for pair in [*self.kept, *self.replaced]]:
            for layer in _within(old):
                if layer in owners:
                    raise ValueError(
                        "`model` must not share a layer that is inside "
                        f"another: '{layer.name}' belongs to '{old.name}' and "
                        f"'{owners[layer]}', and two copies of these could "
                        f"not share it. Received: model={self.models[-1][0]}"
                    )
                owners[layer] = old.name


def _copy(operation: Any) -> Any:
    # Keras distrusts a lambda in a config; this one comes from the model.
    is_lambda = isinstance(operation, keras.layers.Lambda)
    options = {"safe_mode": False} if is_lambda else {}
    return type(operation).from_config(operation.get_config(), **options)


def _call(layer: Any, *args, **kwargs) -> Any:
    # A graph records `mask=None` even for a layer that was called without.
    takes = inspect.signature(layer.call).parameters.values()
    names = {parameter.name for parameter in takes}
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes):
        for name in {"mask", "training"} - names:
            kwargs.pop(name, None)
    return layer(*args, **kwargs)


def _within(layer: Any) -> list[keras.layers.Layer]:
    # Private: Keras has no public walk over a layer and those inside it.
    return layer._flatten_layers()


def _build_as(old: Any, new: Any) -> None:
    if old.built and not new.built:
        new.build_from_config(old.get_build_config())


def _carry_state(old: Any, copy: Any) -> None:
    """Gives a copy of a layer all that a file would keep of it."""
    _build_as(old, copy)
    for source, target in zip(_within(old), _within(copy), strict=True):
        store: dict[str, Any] = {}
        source.save_own_variables(store)
        target.load_own_variables({k: _numbers(v) for k, v in store.items()})
        if hasattr(source, "save_assets"):  # Vocabularies.
            with tempfile.TemporaryDirectory() as folder:
                source.save_assets(folder)
                target.load_assets(folder)


def _carry_by_name(old: Any, new: Any, forget: Sequence[str]) -> None:
    targets = _by_name(new)
    for name, sources in _by_name(old).items():
        shapes = [tuple(source.shape) for source in sources]
        found = [tuple(target.shape) for target in targets.get(name, [])]
        if shapes == found:
            for source, target in zip(sources, targets[name], strict=True):
                target.assign(_numbers(source))
        elif name not in forget:
            raise ValueError(
                f"Layer '{old.name}', a {type(old).__name__}, has the weight "
                f"'{name}' of shape {_listed(shapes)}, and its replacement, a "
                f"{type(new).__name__}, has {_listed(found)}. A weight that "
                "may be lost must be named in `forget`. "
                f"Received: forget={forget}"
            )


def _by_name(layer: Any) -> dict[str, list[keras.Variable]]:
    names: dict[str, list[keras.Variable]] = {}
    for weight in layer.weights:  # One name may stand for several, in order.
        names.setdefault(weight.name, []).append(weight)
    return names


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return " and ".join(map(str, shapes)) or "none of that name"


def _numbers(value: Any) -> np.ndarray:
    # A copy: on JAX two models that share an array cannot both be trained.
    return np.array(ops.convert_to_numpy(value))


@contextlib.contextmanager
def _as_if_not_compiled(model: keras.Model) -> Iterator[None]:
    """Keeps `clone_model` from compiling, which needs a registered loss."""
    compiled, model.compiled = model.compiled, False
    try:
        yield
    finally:
        model.compiled = compiled


@contextlib.contextmanager
def _default_policy(policy: Any) -> Iterator[None]:
    """Gives this policy to the layers that are made without one."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
