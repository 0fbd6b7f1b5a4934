"""Means that leave masked values out."""

from keras import ops


def align_mask(mask, inputs, axis: int):
    """Returns a mask in the shape of a layer's inputs.

    Args:
        mask: Boolean tensor: of the inputs' rank and broadcastable to them,
            or for their leading axes without the channels, such as
            `(batch, time)`.
        inputs: The tensor to mask.
        axis: Integer. The channel axis of the inputs.

    Returns:
        Boolean tensor of the inputs' shape.

    Example:

    >>> mask, inputs = np.array([True, False]), np.zeros((2, 3))
    >>> keras.ops.convert_to_numpy(align_mask(mask, inputs, -1)).tolist()
    [[True, True, True], [False, False, False]]
    """
    missing = len(inputs.shape) - 1 - len(mask.shape)
    for _ in range(missing):  # (batch, time) to (batch, time, 1, ...)
        mask = ops.expand_dims(mask, -1)
    if missing >= 0:
        mask = ops.expand_dims(mask, axis)
    return ops.broadcast_to(ops.cast(mask, "bool"), ops.shape(inputs))


def masked_mean(values, axes: list[int], mask=None):
    """Returns the mean over some axes, which stay with size 1.

    Args:
        values: Float tensor.
        axes: List of integers. The axes to average over, none included.
        mask: Optional boolean tensor in the shape of `values`: `True` where a
            value counts. Where none does, the mean is 0.

    Returns:
        Float tensor of the rank of `values`.

    Example:

    >>> values, mask = np.array([2.0, 4.0, 9.0]), np.array([True, True, False])
    >>> float(masked_mean(values, [0], mask)[0])
    3.0
    """
    if mask is not None:
        values = ops.where(mask, values, 0)
    if not axes:  # Some backends would average over all.
        return values
    if mask is None:
        return ops.mean(values, axes, keepdims=True)
    count = ops.sum(ops.cast(mask, values.dtype), axes, keepdims=True)
    return ops.sum(values, axes, keepdims=True) / ops.maximum(count, 1)
