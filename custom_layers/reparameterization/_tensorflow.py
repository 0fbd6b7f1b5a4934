"""What wrappers need from TensorFlow while they are built."""

import tensorflow as tf


def outside_of_traces():
    """Returns a context in which variables are created at once.

    `fit` builds a model without input shapes inside its trace, where a
    variable that starts from the value of another cannot be lifted out for
    XLA.
    """
    return tf.init_scope()
