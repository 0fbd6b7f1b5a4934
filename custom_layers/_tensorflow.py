"""What a layer needs from `tf.distribute`: seeds and sums over replicas."""

import tensorflow as tf


def fold_in_replica(seed):
    """Returns a seed of this replica's own; on one device, `seed` itself.

    Args:
        seed: Integer tensor of shape `(2,)`.

    Returns:
        Integer tensor of shape `(2,)`.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    # Folded in and not added: replica 1 of seed 7 is not replica 0 of seed 8.
    return tf.random.fold_in(seed, context.replica_id_in_sync_group)


def sum_over_replicas(tensor):
    """Returns the sum of a tensor over replicas; on one device, the tensor.

    Args:
        tensor: A tensor of the same shape on every replica.

    Returns:
        Tensor of that shape.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensor
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tensor)
