"""Turns the arrays of a data set into what a recipe takes, or refuses."""

from collections.abc import Sequence

import numpy as np

from ..refusal import RefusalError

SHAPES = {
    "vector": "vectors of shape (features,)",
    "image": "images of shape (height, width, channels)",
    "sequence": "sequences of shape (time, features)",
}
TARGETS = ("binary", "classes", "real")


def refuse_unknown(takes: str, target: str) -> None:
    """Refuses words that no recipe can be declared with."""
    if takes not in SHAPES or target not in TARGETS:
        raise ValueError(
            f"`takes` must be one of {', '.join(SHAPES)} and `target` one of "
            f"{', '.join(TARGETS)}. "
            f"Received: takes={takes!r}, target={target!r}"
        )


def inputs_as(takes: str, x: np.ndarray) -> np.ndarray:
    """Returns inputs of shape `(rows, ...)` in the shape that a recipe takes.

    Anything flattens to a vector. An image of shape `(h, w, c)` becomes a
    sequence of its `h` lines with `w * c` features. Nothing becomes an image.
    """
    if takes == "vector":
        return x.reshape(len(x), -1)
    if takes == "sequence" and x.ndim == 4:
        return x.reshape(*x.shape[:2], -1)
    if x.ndim != {"image": 4, "sequence": 3}[takes]:
        raise RefusalError(
            f"The recipe takes {SHAPES[takes]}, and an input of this data "
            f"has the shape {x.shape[1:]}."
        )
    return x


def targets_as(
    takes: str, target: str, y: np.ndarray, num_classes: int | None
) -> np.ndarray:
    """Returns targets in the form that a recipe predicts.

    Args:
        takes: `"vector"`, `"image"` or `"sequence"`.
        target: `"binary"`, `"classes"` or `"real"`.
        y: int32 labels of shape `(rows,)` or `(rows, time)`, or float32.
        num_classes: Integer, or `None` where `y` holds real numbers.
    """
    labels = y.dtype == np.int32
    if num_classes is None:
        outputs = f"real targets of shape {y.shape[1:]}"
    else:
        outputs = f"{num_classes} classes"
    per_step = labels and y.ndim == 2
    if per_step and (takes, target) != ("sequence", "classes"):
        raise RefusalError(
            f"The recipe takes {SHAPES[takes]} and predicts one target "
            f"({target}), and this data has a label at each time step."
        )
    if target == "real":
        if labels:
            raise RefusalError(
                f"The recipe predicts real numbers, and this data has "
                f"{outputs}. Quantities must come as floats."
            )
        return y[:, None] if y.ndim == 1 else y
    if num_classes is None:
        raise RefusalError(
            f"The recipe predicts classes, and this data has {outputs}. "
            "Labels must come as integers from 0."
        )
    if target == "binary":
        if num_classes != 2:
            raise RefusalError(
                "The recipe tells 2 classes apart, and this data has "
                f"{outputs}."
            )
        return y.reshape(len(y), 1).astype("float32")
    return y if labels else y.reshape(len(y)).astype("int32")


def kind_of_target(parts: Sequence[np.ndarray]) -> str:
    """Returns what targets look like: `"classes"`, `"binary"` or `"real"`.

    Integers are classes, and two classes of them serve a recipe of a binary
    target too. One column of 0.0 and 1.0 alone is binary.
    """
    if parts[0].dtype == np.int32:
        return "classes"
    column = parts[0][0].size == 1
    zero_one = all(np.isin(y, (0, 1)).all() for y in parts)
    return "binary" if column and zero_one else "real"


def count_classes(parts: Sequence[np.ndarray]) -> int | None:
    """Returns one more than the greatest label; `None` for a real target."""
    kind = kind_of_target(parts)
    if kind == "real":
        return None
    return 2 if kind == "binary" else 1 + max(int(y.max()) for y in parts)
