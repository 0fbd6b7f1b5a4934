"""What the zeros of a model are worth in bytes."""

import gzip
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from .apply_masks import prunable_kernels


class Size(NamedTuple):
    """The size of a weight, or of several.

    Args:
        name: String. The path of the weight, or what is summed up.
        numbers: Integer. How many numbers it holds.
        zeros: Integer. How many of these are zero.
        dense_bytes: Integer. What they take uncompressed.
        gzip_bytes: Integer. What they take compressed.

    Example:

    >>> Size("dense/kernel", 100, 90, 400, 80).sparsity
    0.9
    """

    name: str
    numbers: int
    zeros: int
    dense_bytes: int
    gzip_bytes: int

    @property
    def sparsity(self) -> float:
        """The share of zeros."""
        return self.zeros / max(self.numbers, 1)


class PruningReport(NamedTuple):
    """The sizes of a model's weights. As a string, it is a table.

    Args:
        weights: Tuple of `Size`, one for each weight of the model.
        kernels: `Size`. The sum over the kernels that are pruned.
        whole: `Size`. The sum over all weights.

    Example:

    >>> size = Size("dense/kernel", 4, 2, 16, 30)
    >>> PruningReport((size,), size, size).whole.zeros
    2
    """

    weights: tuple[Size, ...]
    kernels: Size
    whole: Size

    def __str__(self) -> str:
        rows = [*self.weights, self.kernels, self.whole]
        width = max(len(row.name) for row in rows)
        lines = [f"{'':{width}}   numbers  zeros    bytes     gzip"]
        lines += [
            f"{row.name:{width}} {row.numbers:9} {row.sparsity:6.1%} "
            f"{row.dense_bytes:8} {row.gzip_bytes:8}"
            for row in rows
        ]
        return "\n".join(lines)


def pruning_report(model: keras.Model) -> PruningReport:
    """Returns the sparsity and the size of a model, weight by weight.

    Zeros save nothing by themselves: a dense array of zeros takes as many
    bytes, and a dense product as many operations. Compressed they do, so the
    report holds what `gzip` makes of each weight. Weights that are not pruned
    hardly shrink.

    Args:
        model: A built model with a kernel.

    Returns:
        A `PruningReport` with `weights`, `kernels` and `whole`.

    Raises:
        ValueError: If `model` is not built or has no kernels.

    Example:

    >>> from keras_regimen.custom_models import prune
    >>> layers = [keras.Input((50,)), keras.layers.Dense(40, use_bias=False)]
    >>> report = pruning_report(prune(keras.Sequential(layers), 0.9))
    >>> report.whole.sparsity, report.whole.dense_bytes
    (0.9, 8000)
    >>> report.whole.gzip_bytes < 2000
    True
    """
    pruned = {id(kernel.content) for kernel in prunable_kernels(model)}
    sizes = tuple(_size(weight) for weight in model.weights)
    kernels = [
        size
        for weight, size in zip(model.weights, sizes, strict=True)
        if id(weight) in pruned
    ]
    return PruningReport(sizes, _sum("kernels", kernels), _sum("whole", sizes))


def _size(weight: keras.Variable) -> Size:
    values = np.ascontiguousarray(ops.convert_to_numpy(weight))
    content = values.tobytes()
    return Size(
        weight.path,
        values.size,
        int(np.sum(values == 0)),
        len(content),
        len(gzip.compress(content, mtime=0)),
    )


def _sum(name: str, sizes: list[Size] | tuple[Size, ...]) -> Size:
    columns = list(zip(*sizes, strict=True))[1:]
    return Size(name, *map(sum, columns))
