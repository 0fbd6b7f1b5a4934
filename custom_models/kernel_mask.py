"""The constraint that keeps pruned weights at zero."""

import base64
import zlib
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_regimen")
class KernelMask(keras.constraints.Constraint):
    """Keeps the weights that a mask leaves out at exactly zero.

    `prune` and `apply_masks` put it on kernels. It acts after each step of the
    optimizer, so momentum, Adam's averages and weight decay cannot bring a
    pruned weight back, and it is part of the compiled step. It is saved with
    the layer's configuration, as one compressed bit per weight.

    The mask is a variable: on TensorFlow and PyTorch `mask.assign` takes effect
    at the next step, also of a step that is compiled. JAX compiles it in, so
    there follow with `model.make_train_function(force=True)`.

    Args:
        mask: Boolean array of the kernel's shape, `True` where a weight stays.
        constraint: Optional constraint that is applied before the mask: what
            the kernel had before it was pruned.

    Raises:
        ValueError: If `mask` is not boolean.

    Example:

    >>> mask = KernelMask(np.array([True, False, True]))
    >>> [float(weight) for weight in mask(np.array([1.0, 2.0, -3.0]))]
    [1.0, 0.0, -3.0]

    Reference:

    - Han et al., "Learning both Weights and Connections for Efficient Neural
      Networks", [2015](https://arxiv.org/abs/1506.02626), section 3, where
      pruned connections are taken out of the network.
    """

    def __init__(self, mask: Any, constraint: Any = None):
        mask = ops.convert_to_numpy(mask)
        if mask.dtype != bool:
            raise ValueError(
                "`mask` must be a boolean array, `True` where a weight stays. "
                f"Received: mask of {mask.dtype}"
            )
        self.mask = keras.Variable(mask, dtype="bool", trainable=False)
        self.constraint = keras.constraints.get(constraint)

    def __call__(self, w):
        if self.constraint is not None:
            w = self.constraint(w)
        w, mask = map(ops.convert_to_tensor, (w, self.mask))
        # `where` rather than a product: 0 * inf would be NaN.
        return ops.where(mask, w, ops.zeros_like(w))

    def get_config(self):
        mask = self.numbers()
        bits = zlib.compress(np.packbits(mask).tobytes(), 9)
        return {
            "mask": {
                "shape": list(mask.shape),
                "bits": base64.b64encode(bits).decode("ascii"),
            },
            "constraint": keras.constraints.serialize(self.constraint),
        }

    @classmethod
    def from_config(cls, config):
        packed = config["mask"]
        size = int(np.prod(packed["shape"]))
        bits = zlib.decompress(base64.b64decode(packed["bits"]))
        mask = np.unpackbits(np.frombuffer(bits, "uint8"), count=size)
        mask = mask.astype(bool).reshape(packed["shape"])
        inner = config["constraint"]
        return cls(mask, keras.saving.deserialize_keras_object(inner))

    def numbers(self) -> np.ndarray:
        """Returns the mask as a boolean array of its own."""
        return np.array(ops.convert_to_numpy(self.mask))
