"""Training steps on TensorFlow."""

from unittest import mock

import keras
import tensorflow as tf
from keras import tree

# Private: what a second derivative needs on TensorFlow, and nobody else.
from ...custom_optimizers.autodiff._tensorflow import _moments


class TrainingStep:
    """Updates weights by the gradients of `compute_gradients`."""

    def train_step(self, data):
        """Learns from one batch, as Keras' own step does from its gradient."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if not self.built:
            # Only here would the first call of all be traced.
            self.build(tree.map_structure(lambda tensor: tensor.shape, x))
        loss, y_pred, gradients = self.compute_gradients(x, y, sample_weight)
        # Keras divides a replica's loss by their number, and logs the whole.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        # Private: no public name says which metric the loss is.
        self._loss_tracker.update_state(
            loss if replicas == 1 else loss * replicas,
            sample_weight=tf.shape(tree.flatten(x)[0])[0],
        )
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_weights, strict=True)
        )
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)


def gradients(function, variables, scale):
    """Returns loss, extras and gradients by variables."""
    with tf.GradientTape() as tape:
        loss, extras = function()
        scaled = scale(loss)
    return loss, extras, tape.gradient(scaled, [v.value for v in variables])


def gradients_at(function, values, scale):
    """Returns loss, extras and gradients by `values`, which are tensors."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        loss, extras = function(values)
        scaled = scale(loss)
    return loss, extras, tape.gradient(scaled, values)


def vector_jacobian_products(function, x, vectors):
    """Returns products of vectors with a Jacobian, to be differentiated."""
    with (
        mock.patch.object(tf.nn, "moments", _moments),
        tf.GradientTape(persistent=True, watch_accessed_variables=False) as t,
    ):
        t.watch(x)
        y = function(x)
    return [
        t.gradient(y, x, output_gradients=v, unconnected_gradients="zero")
        for v in vectors
    ]


def as_dense(tensor):
    """Returns a gradient as a tensor: an embedding's comes as slices."""
    return tf.convert_to_tensor(tensor)


def share_of_replica(value):
    """Returns a loss divided by the replicas, whose gradients are summed."""
    return value / tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(tensors):
    """Returns the sums of tensors over all replicas of a strategy."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return tensors
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
