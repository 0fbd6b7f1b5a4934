"""What changes in callbacks, and in other objects, while a model trains."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from .state_file import NotDataError, encode

# What Keras gives to each callback.
_OF_KERAS = ("_model", "params")


class AttributeState:
    """The attributes that objects have changed since this was made.

    Use it to take the state of callbacks that know nothing of it: what they
    were constructed with stays as it is, so that nothing but state is left.
    Attributes count that are plain data: numbers, strings, arrays and tensors
    in lists, tuples, dictionaries and deques, and NumPy generators and Keras
    variables. Functions, files and models don't.

    Args:
        owners: Sequence of objects, or of dictionaries in their place.

    Example:

    >>> from keras_regimen.callbacks import EarlyStopping
    >>> stopper = EarlyStopping(patience=3)
    >>> state = AttributeState([stopper])
    >>> _ = [stopper.evaluate(loss) for loss in (0.5, 0.6)]
    >>> state.changed()
    [['EarlyStopping', {'best': 0.5, 'wait': 1}]]
    >>> state.put_back([["EarlyStopping", {"wait": 0}]])
    >>> stopper.best, stopper.wait
    (0.5, 0)
    """

    def __init__(self, owners: Sequence[Any]):
        self.owners = list(owners)
        self._before = [
            {name: _digest(value) for name, value in _data_of(owner)}
            for owner in self.owners
        ]

    def changed(self) -> list[Any]:
        """Returns the changed attributes.

        Returns:
            A list with `[name of the class, dictionary]` for each owner.
        """
        return [
            [
                type(owner).__name__,
                {
                    name: value
                    for name, value in _data_of(owner)
                    if _digest(value) != before.get(name)
                },
            ]
            for owner, before in zip(self.owners, self._before, strict=True)
        ]

    def put_back(self, state: Sequence[Any]) -> None:
        """Writes what `changed` returned into owners of the same classes.

        Args:
            state: List from `changed`.

        Raises:
            ValueError: If the owners are of other classes.
        """
        now = [type(owner).__name__ for owner in self.owners]
        then = [name for name, _ in state]
        if now != then:
            raise ValueError(
                "The callbacks must be those whose state was saved, in the "
                f"same order: {', '.join(then)}. Received: {', '.join(now)}"
            )
        for owner, (_, values) in zip(self.owners, state, strict=True):
            held = _namespace(owner)
            for name, value in values.items():
                held[name] = _put(value, held.get(name))


def _namespace(owner: Any) -> dict:
    return owner if isinstance(owner, dict) else vars(owner)


def _data_of(owner: Any) -> Iterator[tuple[str, Any]]:
    for name, value in list(_namespace(owner).items()):
        if isinstance(value, np.random.Generator):
            value = value.bit_generator.state
        elif isinstance(value, keras.Variable):
            value = ops.convert_to_numpy(value)
        try:
            encode(value, [])
        except NotDataError:
            continue
        if name not in _OF_KERAS:
            yield name, value


def _digest(value: Any) -> bytes:
    arrays: list[np.ndarray] = []
    digest = hashlib.sha256(json.dumps(encode(value, arrays)).encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()


def _put(value: Any, held: Any) -> Any:
    if isinstance(held, keras.Variable):
        held.assign(value)
    elif isinstance(held, np.random.Generator):
        held.bit_generator.state = value
    elif isinstance(held, list) and isinstance(value, list):
        # Others may hold the same list, as `History.params` does.
        held[:] = value
    else:
        return value
    return held
