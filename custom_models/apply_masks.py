"""Masks on the kernels of a model: read, put on, shuffled, taken off."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ..custom_layers.reparameterization.kernel_wrapper import (
    Kernel,
    find_kernels,
    replaced,
)
from ._surgery import copied
from .kernel_mask import KernelMask

# The kernels that are pruned, and the arguments for their constraints.
_ARGUMENTS = {
    "kernel": ("kernel_constraint", "depthwise_constraint"),
    "recurrent_kernel": ("recurrent_constraint",),
    "depthwise_kernel": ("depthwise_constraint",),
    "pointwise_kernel": ("pointwise_constraint",),
}

Masks = Sequence[np.ndarray | None]


def prunable_kernels(model: keras.Model) -> list[Kernel]:
    """Returns the kernels that masks are for, always in the same order.

    Those of dense, convolutional and recurrent layers, however deep in wrapped
    layers and nested models. Biases, embeddings and what belongs to
    normalization are not among them.

    Args:
        model: A built model.

    Returns:
        A list of kernels.

    Raises:
        ValueError: If `model` has none, as it has before it is built.

    Example:

    >>> layers = [keras.Input((4,)), keras.layers.Dense(3, name="hidden")]
    >>> model = keras.Sequential([*layers, keras.layers.BatchNormalization()])
    >>> [kernel.shape for kernel in prunable_kernels(model)]
    [(4, 3)]
    """
    kernels = [
        kernel
        for kernel in find_kernels(model, _ARGUMENTS)
        if isinstance(kernel.content, keras.Variable)
    ]
    if not kernels:
        raise ValueError(
            "`model` must be built and have kernels (those of dense, "
            f"convolutional or recurrent layers). Received: model={model}"
        )
    return kernels


def masks_of(model: keras.Model) -> list[np.ndarray | None]:
    """Returns the masks of a model's kernels.

    With them `apply_masks` makes a lottery ticket: the structure that pruning
    has found, with other weights.

    Args:
        model: A built model.

    Returns:
        A list with an entry for each of `prunable_kernels`: a boolean array,
        `True` where a weight stays, or `None` for a kernel without a mask.

    Example:

    >>> from keras_regimen.custom_models import prune
    >>> dense = keras.layers.Dense(1, kernel_initializer="ones")
    >>> model = keras.Sequential([keras.Input((4,)), dense])
    >>> masks_of(model)
    [None]
    >>> [int(mask.sum()) for mask in masks_of(prune(model, 0.5))]
    [2]
    """
    found = [kernel.content.constraint for kernel in prunable_kernels(model)]
    return [m.numbers() if isinstance(m, KernelMask) else None for m in found]


def shuffled_masks(masks: Masks, seed: int | None = None) -> Masks:
    """Returns masks with as many weights per kernel, in random places.

    The control of a lottery ticket: if it trains as well, the places that
    pruning has found don't matter, only how many are left in each layer.

    Args:
        masks: List of boolean arrays or `None`, as from `masks_of`.
        seed: Optional integer. Fixes the places.

    Returns:
        A new list.

    Example:

    >>> mask = np.array([[True, False], [False, False]])
    >>> [int(shuffled.sum()) for shuffled in shuffled_masks([mask], seed=0)]
    [1]
    """
    rng = np.random.default_rng(seed)
    return [
        None if m is None else rng.permutation(m.ravel()).reshape(m.shape)
        for m in masks
    ]


def apply_masks(model: keras.Model, masks: Masks) -> keras.Model:
    """Returns a new model with masks on its kernels.

    Use it for weights other than those that a mask was made from. The lottery
    ticket is `apply_masks(initial, masks_of(pruned))`, where `initial` is the
    model as it was before training; of other initial weights, or with
    `shuffled_masks`, it is a control.

    The masks replace those that the model has. They stay through training and
    saving (see `KernelMask`), and other constraints are kept.

    Args:
        model: A built functional or sequential model. It is left as it is.
        masks: List with an entry for each of `prunable_kernels`: a boolean
            array of the kernel's shape, `True` where a weight stays, or `None`
            for no mask.

    Returns:
        A new `keras.Model` of the same class and name, not compiled.

    Raises:
        ValueError: If `model` is subclassed or not built; `masks` don't fit
            its kernels; or a layer cannot keep a mask.

    Example:

    >>> dense = keras.layers.Dense(1, kernel_initializer="ones")
    >>> model = keras.Sequential([keras.Input((2,)), dense])
    >>> masked = apply_masks(model, [np.array([[True], [False]])])
    >>> masked.get_weights()[0].tolist()
    [[1.0], [0.0]]

    Reference:

    - Frankle and Carbin, "The Lottery Ticket Hypothesis: Finding Sparse,
      Trainable Neural Networks", [2018](https://arxiv.org/abs/1803.03635),
      section 1.
    """
    kernels = prunable_kernels(model)
    _check(masks, kernels)
    with replaced(
        (kernel.owner, argument, _masked(getattr(kernel.owner, argument), mask))
        for kernel, mask in zip(kernels, masks, strict=True)
        for argument in _ARGUMENTS[kernel.name]
        if hasattr(kernel.owner, argument)
    ):
        new = copied(model)
    for kernel, mask in zip(prunable_kernels(new), masks, strict=True):
        if mask is not None:
            if not isinstance(kernel.content.constraint, KernelMask):
                raise ValueError(
                    f"The layer of the weight '{kernel.content.path}' keeps "
                    "no constraint for it, so a mask would be lost. Leave it "
                    "out: `None` in `masks`, or its name in `skip` of "
                    f"`prune`. Received: model={model}"
                )
            _erase(kernel, mask)
    return new


def set_masks(model: keras.Model, masks: Masks) -> None:
    """Gives a model that has masks other ones, in place.

    Use it between epochs, to prune by and by what goes on training: optimizer
    and compiled steps stay (JAX compiles its step anew).

    Args:
        model: A model with masks: from `prune` (a sparsity of 0 will do) or
            `apply_masks`.
        masks: As for `apply_masks`; where it holds `None`, the kernel's mask
            stays.

    Raises:
        ValueError: If a kernel that is to get a mask has none, or `masks`
            don't fit the kernels.

    Example:

    >>> dense = keras.layers.Dense(1, kernel_initializer="ones")
    >>> model = keras.Sequential([keras.Input((2,)), dense])
    >>> model = apply_masks(model, [np.ones((2, 1), bool)])
    >>> set_masks(model, [np.array([[True], [False]])])
    >>> model.get_weights()[0].tolist()
    [[1.0], [0.0]]
    """
    kernels = prunable_kernels(model)
    _check(masks, kernels)
    for kernel, mask in zip(kernels, masks, strict=True):
        if mask is not None:
            constraint = kernel.content.constraint
            if not isinstance(constraint, KernelMask):
                raise ValueError(
                    "`model` must have masks, as `prune(model, 0.0)` has. "
                    f"Received: no mask on '{kernel.content.path}'"
                )
            constraint.mask.assign(mask)
            _erase(kernel, mask)
    if keras.config.backend() == "jax" and getattr(
        model, "train_function", None
    ):
        model.make_train_function(force=True)  # The masks are compiled in.


def strip(model: keras.Model) -> keras.Model:
    """Returns a plain model without masks, with the zeros in place.

    Use it on a pruned model that is trained, before it is handed on: it loads
    where this library is not installed.

    Args:
        model: A built functional or sequential model. It is left as it is.

    Returns:
        A new `keras.Model` of the same class, name and weights, not compiled.

    Raises:
        ValueError: If `model` is subclassed or not built.

    Example:

    >>> from keras_regimen.custom_models import prune
    >>> dense = keras.layers.Dense(1, kernel_initializer="ones")
    >>> pruned = prune(keras.Sequential([keras.Input((4,)), dense]), 0.5)
    >>> plain = strip(pruned)
    >>> masks_of(plain), float(plain.get_weights()[0].sum())
    ([None], 2.0)
    """
    return apply_masks(model, [None] * len(prunable_kernels(model)))


def _erase(kernel: Kernel, mask: np.ndarray) -> None:
    values = ops.convert_to_numpy(kernel.content)
    kernel.content.assign(np.where(mask, values, np.zeros_like(values)))


def _masked(constraint: Any, mask: np.ndarray | None) -> Any:
    if isinstance(constraint, KernelMask):
        constraint = constraint.constraint
    return constraint if mask is None else KernelMask(mask, constraint)


def _check(masks: Masks, kernels: list[Kernel]) -> None:
    expected = [kernel.shape for kernel in kernels]
    shapes = [None if mask is None else np.shape(mask) for mask in masks]
    if len(shapes) != len(expected) or any(
        shape not in (None, fitting)
        for shape, fitting in zip(shapes, expected, strict=True)
    ):
        raise ValueError(
            "`masks` must hold an array of the kernel's shape, or `None`, for "
            f"each kernel of the model: {expected}. Received: masks of the "
            f"shapes {shapes}"
        )
