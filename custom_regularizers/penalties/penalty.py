"""What all penalties share: a strength, and full precision."""

import math
import numbers
from typing import Any

import keras

from ..incoming_weights import in_full_precision


def checked_strength(strength: float) -> float:
    """Returns the argument by which a penalty is multiplied.

    Args:
        strength: Float, 0 or more.

    Returns:
        `strength` as a Python float.

    Raises:
        ValueError: If `strength` is negative or not finite.

    Example:

    >>> checked_strength(1)
    1.0
    """
    if not (isinstance(strength, numbers.Real) and 0 <= strength < math.inf):
        raise ValueError(
            "`strength` must be a finite number, 0 or more. "
            f"Received: strength={strength}"
        )
    return float(strength)


class Penalty(keras.Regularizer):
    """Base of the penalties: what `measure` returns, times a strength.

    Use it to write another one: give it a `measure`, a `get_config` if it has
    further arguments, and `keras.saving.register_keras_serializable`.

    Args:
        strength: Float, 0 or more. The factor; 0 turns the penalty off.

    Raises:
        ValueError: If `strength` is negative or not finite.

    Example:

    >>> class Largest(Penalty):
    ...     def measure(self, weights):
    ...         return keras.ops.max(keras.ops.abs(weights))
    >>> float(Largest(0.5)(np.array([1.0, -4.0])))
    2.0
    """

    def __init__(self, strength: float = 0.01):
        self.strength = checked_strength(strength)

    def __call__(self, x):
        return self.strength * self.measure(in_full_precision(x))

    def measure(self, weights: Any) -> Any:
        """Returns the penalty at strength 1.

        Args:
            weights: A tensor in float32 or float64.

        Returns:
            A scalar tensor.
        """
        raise NotImplementedError

    def fitted_to(self, weights: Any, axes: tuple[int, ...]) -> "Penalty":
        """Returns the penalty as it should be for certain weights.

        `regularize` asks for it: it knows the layer, which a penalty never
        sees. By default it is the penalty itself.

        Args:
            weights: Array. The weights as they are now.
            axes: Tuple. The axes over which a unit's incoming weights lie.

        Returns:
            A penalty of the same class.
        """
        del weights, axes
        return self

    def get_config(self):
        return {"strength": self.strength}
