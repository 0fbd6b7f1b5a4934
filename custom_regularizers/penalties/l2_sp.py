"""L2-SP: fine-tuned weights stay near those they start from."""

import base64
import io
from typing import Any

import keras
import numpy as np
from keras import ops

from .penalty import Penalty


@keras.saving.register_keras_serializable(package="keras_regimen")
class L2SP(Penalty):
    """L2 penalty on the distance from given weights, not from zero.

    Use it to fine-tune a pretrained model: `regularize(model, L2SP())` gives
    each kernel its own present value as the reference. What was learned is
    then kept unless the new data speak against it, while weight decay towards
    zero forgets it.

    The penalty is `strength * sum((w - reference)**2)`.

    The reference is a part of the configuration, as the bytes of an array
    (4/3 of their size, written as text), so that a saved model is complete
    and loads in safe mode. In a compiled function it is a constant.

    Args:
        reference: Array, or anything that NumPy can make one of, with the
            shape of the weights; or `None` (the default), to be filled in by
            `regularize`. A string is read as what `get_config` has written.
        strength: Float, 0 or more. Default 0.01.

    Raises:
        ValueError: If an argument is outside its range, or the weights have
            another shape than the reference.

    Example:

    >>> penalty = L2SP(reference=[[1.0], [2.0]], strength=0.5)
    >>> float(penalty(np.array([[1.0], [4.0]])))
    2.0

    Reference:

    - Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer
      Learning with Convolutional Networks",
      [2018](https://arxiv.org/abs/1802.01483). Their strength is twice
      ours: there is no factor 1/2 here, as in `keras.regularizers.L2`, which
      serves for their second term, on the layers that are new.
    """

    def __init__(self, reference: Any = None, strength: float = 0.01):
        super().__init__(strength)
        if isinstance(reference, str):
            file = io.BytesIO(base64.b64decode(reference))
            reference = np.load(file, allow_pickle=False)
        self.reference = None if reference is None else _checked(reference)

    def measure(self, weights):
        if self.reference is None:
            raise ValueError(
                "`reference` must be given, or filled in by "
                "`regularize(model, L2SP(...))`. Received: reference=None"
            )
        if tuple(weights.shape) != self.reference.shape:
            raise ValueError(
                "The weights must have the shape of `reference`, "
                f"{self.reference.shape}. "
                f"Received: shape={tuple(weights.shape)}"
            )
        reference = ops.convert_to_tensor(self.reference, dtype=weights.dtype)
        return ops.sum(ops.square(weights - reference))

    def fitted_to(self, weights, axes):
        if self.reference is not None:
            return self
        return type(self)(weights, self.strength)

    def get_config(self):
        reference = None
        if self.reference is not None:
            file = io.BytesIO()
            np.save(file, self.reference, allow_pickle=False)
            reference = base64.b64encode(file.getvalue()).decode()
        return {**super().get_config(), "reference": reference}


def _checked(reference):
    try:
        # NumPy has no bfloat16 of its own, in which it could be saved.
        array = np.asarray(ops.convert_to_numpy(reference))
        array = array.astype("float64" if array.dtype == "float64" else "f4")
    except (TypeError, ValueError) as error:
        raise ValueError(
            "`reference` must be an array of numbers. "
            f"Received: reference={reference!r}"
        ) from error
    if not np.isfinite(array).all():
        raise ValueError(
            f"`reference` must be finite. Received: reference={reference!r}"
        )
    return array
