"""What first-order optimizers need from TensorFlow itself."""

import tensorflow as tf
from tensorflow.python.ops import control_flow_util


def compiled_for_a_cpu(tensor):
    """Returns whether XLA compiles what is being traced, on one CPU.

    Args:
        tensor: One of the tensors that it is traced with.
    """
    del tensor
    graph = tf.compat.v1.get_default_graph()
    return (
        not tf.executing_eagerly()
        # No public name tells what `jit_compile=True` encloses.
        and control_flow_util.GraphOrParentsInXlaContext(graph)
        and not tf.config.list_logical_devices("GPU")
        and not tf.distribute.has_strategy()
    )
