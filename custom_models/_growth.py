"""How weights grow, and the optimizer's state with them."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops


class Growth(NamedTuple):
    """How the weights along an axis come from those of an old variable.

    Entry `j` along the axis is the old one of `origin[j]`, times `share[j]` to
    the power of `weight_degree`. By what loss gives for it, its gradient has
    the share to the power of `gradient_degree`.
    """

    old: keras.Variable
    axis: int = 0
    origin: np.ndarray | None = None  # `None`: all as they are.
    share: np.ndarray | None = None
    weight_degree: int = 0
    gradient_degree: int = 0

    def grown(self, values: np.ndarray, degree: int) -> np.ndarray:
        if self.origin is None or self.share is None:
            return values
        shape = [1] * values.ndim
        shape[self.axis] = -1
        factors = np.reshape(self.share.astype("float64") ** degree, shape)
        taken = np.take(values, self.origin, self.axis)
        return (taken * factors).astype(values.dtype)

    def weights(self) -> np.ndarray:
        return self.grown(numbers(self.old), self.weight_degree)


def numbers(variable: Any) -> np.ndarray:
    return np.array(ops.convert_to_numpy(variable))


def compile_with_state(
    model: keras.Model,
    new: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    growths: Mapping[int, Growth],
) -> None:
    """Compiles a grown model as the old one is, with its optimizer's state.

    `growths` says by the `id` of a new weight where it comes from; a weight
    that is not in it is new, and has the state that the optimizer begins with.
    """
    if not (model.compiled and isinstance(optimizer, _Optimizer)):
        raise ValueError(
            "`optimizer` must be an optimizer whose state is carried over, and "
            "`model` compiled, since the new model is compiled like it: "
            f"`optimizer=model.optimizer`. Received: optimizer={optimizer}, "
            f"model.compiled={model.compiled}"
        )
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    config = model.get_compile_config()
    config["optimizer"] = keras.optimizers.serialize(optimizer)
    with _references() as references:
        # What the slots of the old one are for is not written on them, but
        # another one like it makes them in the same order.
        twin = type(optimizer).from_config(optimizer.get_config())
        twin.build(model.trainable_variables)
        new.compile_from_config(config)
        if not new.optimizer.built:
            new.optimizer.build(new.trainable_variables)
    old_slots: dict[int, list[keras.Variable]] = {}
    old_others: list[keras.Variable] = []
    for slot, like in zip(optimizer.variables, twin.variables, strict=True):
        reference = references.get(id(like))
        if reference is None:
            old_others.append(slot)
        else:
            old_slots.setdefault(id(reference), []).append(slot)
    new_slots: dict[int, list[keras.Variable]] = {}
    others: list[keras.Variable] = []
    for slot in new.optimizer.variables:
        reference = references.get(id(slot))
        if reference is None:
            others.append(slot)
        else:
            new_slots.setdefault(id(reference), []).append(slot)
    if [v.shape for v in others] != [v.shape for v in old_others]:
        raise ValueError(
            f"The state of {type(optimizer).__name__} is not one value, or "
            "none, for each weight, so it cannot grow with the weights. "
            f"Received: optimizer={optimizer}"
        )
    for slot, old in zip(others, old_others, strict=True):
        slot.assign(numbers(old))
    degrees = _degrees(optimizer)
    for reference, slots in new_slots.items():
        growth = growths.get(reference)
        if growth is not None:
            found = old_slots[id(growth.old)]
            for slot, old, degree in zip(slots, found, degrees, strict=True):
                power = (
                    growth.weight_degree
                    if degree is None
                    else growth.gradient_degree * degree
                )
                slot.assign(growth.grown(numbers(old), power))


_Optimizer = keras.optimizers.Optimizer


@contextlib.contextmanager
def _references() -> Iterator[dict[int, Any]]:
    """Notes for which weights slots are made, by the slots' `id`."""
    references: dict[int, Any] = {}
    kept = []  # Or an `id` might be given anew.
    add = _Optimizer.add_variable_from_reference
    own = "add_variable_from_reference" in vars(_Optimizer)

    def add_noted(optimizer, reference_variable, *args, **kwargs):
        slot = add(optimizer, reference_variable, *args, **kwargs)
        references[id(slot)] = reference_variable
        kept.append(slot)
        return slot

    _Optimizer.add_variable_from_reference = add_noted
    try:
        yield references
    finally:
        if own:
            _Optimizer.add_variable_from_reference = add
        else:
            del _Optimizer.add_variable_from_reference


def _degrees(optimizer: keras.optimizers.Optimizer) -> list[int | None]:
    """Returns the power of the gradient that each slot of a weight follows.

    1 for a momentum, 2 for a mean of squares, 0 for what does not change with
    the gradient's size, `None` for a copy of the weight. Found by trying: two
    gradients on a weight of their own, one twice the other.
    """
    found = []
    for gradient in (2.0**-7, 2.0**-6):
        probe = type(optimizer).from_config(optimizer.get_config())
        weight = keras.Variable([1024.0], dtype="float32")
        with _references() as references:
            probe.build([weight])
        probe.apply([ops.convert_to_tensor([gradient])], [weight])
        found.append(
            [
                abs(float(numbers(slot)[0]))
                for slot in probe.variables
                if references.get(id(slot)) is weight
            ]
        )
    return [
        None
        if small > 512
        else 0
        if small == 0
        else round(float(np.log2(large / small)))
        for small, large in zip(*found, strict=True)
    ]
