"""Derivatives of a loss on more samples than fit on the device."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from keras import tree

from ._batches import as_data, num_samples


def chunks(arrays: Any, size: int) -> Iterator[Any]:
    """Yields the arrays' samples, `size` at a time, without copying them."""
    for start in range(0, num_samples(arrays), size):
        part = slice(start, start + size)
        yield tree.map_structure(
            lambda array, part=part: None if array is None else array[part],
            arrays,
        )


def read(arrays: Any) -> Any:
    """Copies what may lie in a file, or must not be written to."""
    return tree.map_structure(
        lambda a: np.array(a) if isinstance(a, np.memmap) else a, arrays
    )


class ChunkedObjective:
    """The sum of an objective over chunks: each is a mean over its samples.

    Args:
        function: Function from `(vector, data)` to value and gradient, and
            from `(vector, data, direction)` to the Hessian's product.
        data: List of chunks, triples of inputs, targets and weights.
        samples: Integer, the samples of all chunks.
    """

    def __init__(self, function: Callable, data: list, samples: int):
        self.function = function
        self.data = data
        self.samples = samples

    def __call__(self, x):
        """Returns the value at `x` and the gradient."""
        return self._summed(lambda data: self.function(x, data))

    def product(self, x, vector):
        """Returns the product of the Hessian at `x` with a vector."""
        return self._summed(lambda data: self.function(x, data, vector))

    def _summed(self, function):
        total = None
        for arrays in self.data:
            share = num_samples(arrays) / self.samples
            part = tree.map_structure(
                lambda tensor, share=share: tensor * share,
                function(as_data(*read(arrays))),
            )
            if total is None:
                total = part
            else:
                total = tree.map_structure(lambda a, b: a + b, total, part)
        return total
