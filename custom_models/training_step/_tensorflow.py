"""Training steps on TensorFlow."""

import keras
import tensorflow as tf
from keras import tree


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


def sum_over_replicas(tensors):
    """Returns the sums of tensors over all replicas of a strategy."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return tensors
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
