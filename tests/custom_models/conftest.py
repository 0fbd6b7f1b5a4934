"""What the tests of training methods share."""

import subprocess
import sys
import textwrap

import keras
import pytest

# Virtual devices must be set before TensorFlow starts.
TWO_DEVICES = """
import keras
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
"""


@pytest.fixture
def on_two_replicas():
    """Returns a function that runs code where there is a `strategy`."""
    if keras.config.backend() != "tensorflow":
        pytest.skip("`MirroredStrategy` is TensorFlow's.")

    def run(code):
        script = TWO_DEVICES + textwrap.dedent(code)
        subprocess.run([sys.executable, "-c", script], check=True)

    return run
