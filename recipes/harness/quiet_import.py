"""Keras, imported without the lines that TensorFlow logs."""

import logging
import os
import sys


def import_keras() -> None:
    """Imports Keras, with what its backend says meanwhile thrown away.

    TensorFlow writes to the error stream from C++, whatever its log level.
    If Keras is there already, nothing is done.
    """
    if "keras" in sys.modules:
        return
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import keras

        # What a user's keras.json says must not change a row.
        keras.config.set_floatx("float32")
        keras.config.set_epsilon(1e-7)
        keras.config.set_image_data_format("channels_last")
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()  # It logs what is not there.
            # A warning for each model that is compiled: they are many.
            logging.getLogger("tensorflow").setLevel(logging.ERROR)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
