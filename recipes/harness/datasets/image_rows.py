"""Images of differing sizes, written as rows of one array."""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from .reading_tensorflow import reading_tensorflow

LONGEST_SIDE = 64


def write_images(
    path: Path, images: Callable[[], Iterable[np.ndarray]], count: int
) -> None:
    """Writes images into a `.npy` file, one after the other.

    All get the size that most of them have, the longer side 64 pixels at most,
    and one channel if all of them are gray, else three; transparency is left
    out. Only one image is in memory at a time.

    Args:
        path: The file to be written.
        images: Function that returns the images from the first one on, each a
            uint8 array of shape `(height, width, channels)`.
        count: Integer. The number of images.
    """
    tf = reading_tensorflow()
    sizes: Counter[tuple[int, ...]] = Counter()
    gray = True
    for image in images():
        sizes[image.shape[:2]] += 1
        gray = gray and _is_gray(image)
    size = common_size(sizes)
    shape = (count, *size, 1 if gray else 3)
    rows = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    for place, image in enumerate(images()):
        colors = image[..., :1] if gray else _in_color(image)
        if colors.shape[:2] != size:
            resized = tf.image.resize(colors, size, antialias=True).numpy()
            colors = np.clip(np.rint(resized), 0, 255).astype("uint8")
        rows[place] = colors
    rows.flush()


def common_size(sizes: Counter[tuple[int, ...]]) -> tuple[int, ...]:
    """Returns the most common height and width, made smaller if need be.

    >>> common_size(Counter({(20, 10): 3, (30, 10): 1}))
    (20, 10)
    >>> common_size(Counter({(320, 160): 1}))
    (64, 32)
    """
    size = max(sizes, key=lambda s: (sizes[s], s))
    shrink = min(1.0, LONGEST_SIDE / max(size))
    return tuple(max(1, round(side * shrink)) for side in size)


def _is_gray(image: np.ndarray) -> bool:
    if image.shape[-1] < 3:
        return True
    red, green, blue = np.moveaxis(image[..., :3], -1, 0)
    return bool((red == green).all() and (green == blue).all())


def _in_color(image: np.ndarray) -> np.ndarray:
    if image.shape[-1] < 3:
        return np.repeat(image[..., :1], 3, axis=-1)
    return image[..., :3]
