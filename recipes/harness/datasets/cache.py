"""Where prepared data lies."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """Returns the folder where prepared data lies.

    It is the environment variable `REGIMEN_CACHE`, else `regimen` in
    `XDG_CACHE_HOME`, else `~/.cache/regimen`.
    """
    own = os.environ.get("REGIMEN_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(own or Path(shared, "regimen")).expanduser().absolute()


def tfds_directory() -> Path:
    """Returns the folder where TensorFlow Datasets of the user lie.

    It is the environment variable `TFDS_DATA_DIR`, else
    `~/tensorflow_datasets`, as TensorFlow Datasets itself has it.
    """
    own = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(own).expanduser().absolute()
