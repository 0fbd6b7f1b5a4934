"""A folder of images with one subfolder for each class."""

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..refusal import RefusalError
from .array_rows import array_rows, larger_than_memory
from .content_digest import content_digest
from .image_rows import write_images
from .own_data import OwnData
from .reading_tensorflow import reading_tensorflow
from .stored_arrays import stored_arrays

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


@dataclasses.dataclass(frozen=True)
class ImageFolder(OwnData):
    """Images of a folder, between 0 and 1, labeled by their subfolder.

    They are decoded once, and kept as bytes in the folder of `REGIMEN_CACHE`.
    """

    def current_digest(self) -> str:
        root = Path(self.path)
        return content_digest(root, _images(root))

    def draw(self, seed: int) -> Any:
        x, y = _stored(Path(self.path), self.digest)
        return array_rows(x, y, seed, self.digest, streamed=self.streamed)


def open_folder(path: Path) -> ImageFolder:
    """Returns the data that a folder stands for.

    Args:
        path: The folder, absolute.

    Raises:
        RefusalError: If it does not hold two subfolders or more with images,
            or an image cannot be read.
    """
    images = _images(path)
    digest = content_digest(path, images)
    x, y = _stored(path, digest)
    streamed = larger_than_memory(x)
    names = sorted({image.parent.name for image in images})
    counts = [
        f"{name} {count:,}"
        for name, count in zip(names, np.bincount(y), strict=True)
    ]
    shown = ", ".join(counts[:8]) + (", ..." if counts[8:] else "")
    size = " x ".join(map(str, x.shape[1:]))
    return ImageFolder(
        path=str(path),
        label=path.name,
        digest=digest,
        sentence=f"{path.name}/: {len(x):,} images, as {size}, "
        f"{len(names)} classes ({shown})"
        + (", streamed from disk" if streamed else ""),
        streamed=streamed,
    )


def _images(root: Path) -> list[Path]:
    """Returns the images in the order of their classes and names."""
    classes = [p for p in _visible(root) if p.is_dir()]
    images = []
    for folder in classes:
        inside = _visible(folder)
        found = [p for p in inside if p.suffix.lower() in ENDINGS]
        if not found and any(p.is_dir() for p in inside):
            raise RefusalError(
                f"{folder} holds folders, and no images; --data takes a folder "
                "with one subfolder of images for each class"
            )
        images += found
    found_classes = len({image.parent for image in images})
    if found_classes < 2:
        raise RefusalError(
            f"{root} must have a subfolder of images ({', '.join(ENDINGS)}) "
            f"for each class, and two classes or more. Received: "
            f"{found_classes} subfolders with images"
        )
    return images


def _visible(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if not p.name.startswith("."))


def _stored(root: Path, digest: str) -> tuple[np.ndarray, np.ndarray]:
    return stored_arrays(digest, partial(_write, root))


def _write(root: Path, folder: Path) -> None:
    images = _images(root)
    write_images(folder / "x.npy", partial(_decoded, images), len(images))
    classes = [image.parent.name for image in images]
    _, labels = np.unique(classes, return_inverse=True)
    np.save(folder / "y.npy", labels.astype("int32"))


def _decoded(images: list[Path]) -> Iterator[np.ndarray]:
    tf = reading_tensorflow()
    for path in images:
        try:
            # Of a moving picture the first one.
            yield tf.io.decode_image(
                path.read_bytes(), expand_animations=False
            ).numpy()
        except tf.errors.InvalidArgumentError as error:
            raise RefusalError(
                f"{path} is no image that can be read"
            ) from error
