"""What slots need from TensorFlow while they are made."""

import contextlib

import keras
import tensorflow as tf


def outside_of_traces(variable):
    """Returns a context in which a variable can be copied at once.

    `fit` builds an optimizer inside its trace, where a variable that starts
    from the value of another cannot be lifted out for XLA. Where the variable
    itself was made in that trace, it has no value outside: the copy stays in.

    Args:
        variable: The variable that is to be copied.

    Returns:
        A context manager.
    """
    if isinstance(variable, keras.Variable):
        variable = variable.value
    with tf.init_scope():
        if tf.executing_eagerly() and bool(variable.is_initialized()):
            return tf.init_scope()
    return contextlib.nullcontext()
