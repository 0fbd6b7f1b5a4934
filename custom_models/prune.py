"""Magnitude pruning: the smallest weights of a model set to zero."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from .apply_masks import Masks, apply_masks, masks_of, prunable_kernels


def prune(
    model: keras.Model,
    sparsity: float | Mapping[str, float],
    scope: str = "global",
    skip: Sequence[str] = (),
) -> keras.Model:
    """Returns a new model whose smallest weights are zero, and stay so.

    Use it on a trained model, then train on: the masks stay (see `KernelMask`)
    with every optimizer, in compiled epochs and in saved models. Pruned once,
    a model loses more than in steps: prune a part, train, prune more of the
    result. What is pruned stays pruned. `pruning_report` says what it saves,
    `strip` gives a plain model at last, and `masks_of` and `apply_masks` put
    the masks on other weights.

    Pruned are the kernels of dense, convolutional and recurrent layers,
    however deep in the model; biases, embeddings and normalization stay. Batch
    normalization may then need `reestimate_batch_normalization`.

    Args:
        model: A built functional or sequential model. It is left as it is.
        sparsity: Float in `[0, 1)`. The share of zeros among the weights that
            are pruned, those pruned before included: of a model pruned by half,
            0.75 takes half of the rest. With 0 the model stays as it is, but
            has masks. Or a dictionary from names of layers to such shares;
            other layers are left alone.
        scope: `"global"`: the smallest weights of all kernels together, so
            that layers keep what they need, and may lose all of it; or
            `"layer"`: the same share of each kernel. Default `"global"`.
        skip: Sequence of strings. The names of layers to leave alone, such as
            the last. Default: none.

    Returns:
        A new `keras.Model` of the same class and name, not compiled.

    Raises:
        ValueError: If `model` is subclassed, or has no kernels yet; an
            argument is not as said above, or a name fits no layer; `sparsity`
            is less than what the masks leave out already; or a layer, such as
            `MultiHeadAttention`, cannot keep masks.

    Example:

    >>> dense = keras.layers.Dense(1, use_bias=False)
    >>> model = keras.Sequential([keras.Input((4,)), dense])
    >>> model.set_weights([np.array([[3.0], [-1.0], [-4.0], [2.0]])])
    >>> prune(model, 0.5).get_weights()[0].ravel().tolist()
    [3.0, 0.0, -4.0, 0.0]

    Reference:

    - Han et al., "Learning both Weights and Connections for Efficient Neural
      Networks", [2015](https://arxiv.org/abs/1506.02626), section 3. The paper
      takes a threshold for each layer, a multiple of its weights' deviation;
      here the share is given, so that arms can be compared.
    """
    if scope not in ("global", "layer"):
        raise ValueError(
            f'`scope` must be "global" or "layer". Received: scope={scope!r}'
        )
    if isinstance(skip, str):
        raise ValueError(
            f"`skip` must be a sequence of names. Received: skip={skip!r}"
        )
    # Under `None` what is for all layers.
    wanted: dict[str | None, float] = {}
    if isinstance(sparsity, Mapping):
        wanted.update(sparsity)
    else:
        wanted[None] = sparsity
    if not all(map(_is_share, wanted.values())):
        raise ValueError(
            "`sparsity` must be a share of zeros in [0, 1), or a dictionary "
            "of such. To drop a layer, remove it from the model. "
            f"Received: sparsity={sparsity}"
        )
    kernels = prunable_kernels(model)
    paths = [kernel.content.path.split("/")[:-1] for kernel in kernels]
    names = [*skip, *(name for name in wanted if name is not None)]
    lost = [n for n in names if not any(n in path for path in paths)]
    if lost:
        raise ValueError(
            "`skip` and `sparsity` must name layers with a kernel. "
            f"Received: {', '.join(lost)}"
        )
    shares = {
        i: share
        for i, path in enumerate(paths)
        for name, share in wanted.items()
        if (name is None or name in path) and not set(skip) & set(path)
    }
    if not shares:
        raise ValueError(
            "`skip` and `sparsity` must leave a layer to prune. "
            f"Received: skip={skip}, sparsity={sparsity}"
        )
    together = scope == "global" and None in wanted
    masks = list(masks_of(model))
    for group in [list(shares)] if together else [[i] for i in shares]:
        smaller = magnitude_masks(
            [ops.convert_to_numpy(kernels[i].value) for i in group],
            [masks[i] for i in group],
            shares[group[0]],
        )
        for i, mask in zip(group, smaller, strict=True):
            masks[i] = mask
    return apply_masks(model, masks)


def _is_share(share: Any) -> bool:
    return isinstance(share, numbers.Real) and 0 <= float(share) < 1


def magnitude_masks(
    values: Sequence[np.ndarray], masks: Masks, sparsity: float
) -> list[np.ndarray]:
    """Returns masks without the smallest of some weights.

    Args:
        values: List of arrays, of the weights among which to choose.
        masks: List of boolean arrays or `None`: the masks that they have. What
            these leave out goes first.
        sparsity: Float in `[0, 1)`. The share to leave out.

    Returns:
        A list of boolean arrays, `True` where a weight stays. Of equal weights
        the first go.

    Raises:
        ValueError: If `masks` leave out more than that.

    Example:

    >>> first, second = np.array([1.0, -4.0]), np.array([2.0, 3.0])
    >>> [m.tolist() for m in magnitude_masks([first, second], [None] * 2, 0.5)]
    [[False, True], [False, True]]
    """
    sizes = np.concatenate(
        [
            np.where(True if m is None else m, np.abs(v), -1).ravel()
            for v, m in zip(values, masks, strict=True)
        ]
    )
    count = round(sparsity * sizes.size)
    before = int(np.sum(sizes < 0))
    if count < before:
        raise ValueError(
            "`sparsity` must be no less than what is pruned already, "
            f"{before / sizes.size:.4g}: masks stay. To begin anew, `strip` "
            f"the model. Received: sparsity={sparsity}"
        )
    kept = np.ones(sizes.size, bool)
    kept[np.argsort(sizes, kind="stable")[:count]] = False
    ends = np.cumsum([value.size for value in values])[:-1]
    return [
        part.reshape(value.shape)
        for part, value in zip(np.split(kept, ends), values, strict=True)
    ]
