"""TensorFlow for reading data, whatever the backend is."""

import contextlib
from typing import Any


def reading_tensorflow() -> Any:
    """Returns the module `tensorflow`, kept off the GPU where it only reads.

    Under another backend it would reserve the GPU's memory.
    """
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        # It is too late, and an error, where somebody has used TensorFlow.
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    return tf
