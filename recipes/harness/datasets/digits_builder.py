"""The digits as a TensorFlow Datasets builder."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds


class RegimenDigits(tfds.core.GeneratorBasedBuilder):
    """Scikit-learn's digits, in scikit-learn's order, as one split.

    Importing this module makes `tfds.load("regimen_digits")` known.

    Example:

    >>> RegimenDigits.name
    'regimen_digits'
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Pixels as counts from 0 to 16."}

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(
                "1,797 handwritten digits by 13 writers. Each of the 8 x 8 "
                "pixels counts the dark points in a 4 x 4 block of a 32 x 32 "
                "bitmap. This is the test part of the UCI data set, as "
                "scikit-learn ships it."
            ),
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Tensor(
                        shape=(8, 8, 1), dtype=np.uint8
                    ),
                    "label": tfds.features.ClassLabel(num_classes=10),
                }
            ),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
            homepage="https://doi.org/10.24432/C50P49",
            citation=(
                "@misc{optdigits, author={Alpaydin, E. and Kaynak, C.}, "
                "title={Optical Recognition of Handwritten Digits}, "
                "year={1998}, howpublished={UCI Machine Learning Repository}, "
                "doi={10.24432/C50P49}}"
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        del dl_manager  # Scikit-learn brings the data along.
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        from sklearn import datasets

        bunch = datasets.load_digits()
        images = bunch.images.astype("uint8")[..., np.newaxis]
        for row, pair in enumerate(zip(images, bunch.target, strict=True)):
            yield row, dict(zip(("image", "label"), pair, strict=True))


def load_digits(data_dir: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns images (uint8, 0 to 16) and labels; prepares them if need be.

    Args:
        data_dir: Folder of TensorFlow Datasets.

    Raises:
        OSError: If the data cannot be written there.
        RuntimeError: If what lies there cannot be read.
    """
    if keras.backend.backend() != "tensorflow":
        # TensorFlow only reads here, and would reserve the GPU's memory. It
        # is too late, and an error, where somebody has used TensorFlow.
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    folder = data_dir / RegimenDigits.name / str(RegimenDigits.VERSION)
    if not folder.exists():
        _prepare(data_dir, folder)
    try:
        images, labels = tfds.load(
            RegimenDigits.name,
            split="train",
            data_dir=data_dir,
            batch_size=-1,
            as_supervised=True,
            download=False,
            try_gcs=False,
        )
    except Exception as error:
        raise RuntimeError(
            f"The digits in {folder} cannot be read. Remove that folder: the "
            "next call prepares them again."
        ) from error
    return images.numpy(), labels.numpy()


def _prepare(data_dir: Path, folder: Path) -> None:
    # The builder writes into a folder with a random name and renames it at
    # the end. What a killed process leaves behind is therefore never read,
    # and of several processes at once the first to finish wins: the others'
    # renaming fails, since the name is taken by then.
    try:
        # It prints progress, which does not belong into our own output.
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            RegimenDigits(data_dir=data_dir).download_and_prepare(
                download_config=tfds.download.DownloadConfig(
                    try_download_gcs=False
                )
            )
    except OSError as error:
        if not folder.exists():
            raise OSError(
                f"The digits cannot be prepared in {data_dir} ({error}). Set "
                "REGIMEN_CACHE to a folder that can be written."
            ) from error
