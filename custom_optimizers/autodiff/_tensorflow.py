"""Derivatives and compilation on TensorFlow."""

from unittest import mock

import tensorflow as tf


def value_and_gradient(function, x):
    """Returns the value of a scalar function at `x`, and its gradient."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        value = function(x)
    return value, tape.gradient(value, x, unconnected_gradients="zero")


def hessian_vector_product(function, x, vector):
    """Returns the product of a function's Hessian at `x` with a vector."""
    # Reverse over reverse: forward mode knows fewer operations.
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        with mock.patch.object(tf.nn, "moments", _moments):
            _, gradient = value_and_gradient(function, x)
    return tape.gradient(
        gradient, x, output_gradients=vector, unconnected_gradients="zero"
    )


def compiled(function, jit_compile=False):
    """Compiles a function that reads and assigns Keras variables."""
    return tf.function(function, autograph=False, jit_compile=jit_compile)


def is_eager():
    """Whether values are known now, so that Python can decide by them."""
    return tf.executing_eagerly()


def _moments(x, axes, shift=None, keepdims=False, name=None):
    # TensorFlow's own stops the gradient at the mean within the variance. The
    # first derivative is the same without it, the second is not: a Hessian
    # through Keras' batch normalization would be wrong.
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=keepdims)
    return tf.reshape(mean, tf.shape(variance)), variance
