"""A seed generator whose draws differ on every replica."""

import keras

if keras.config.backend() == "tensorflow":
    from ._tensorflow import fold_in_replica
else:  # One program sees the whole batch, and draws for all devices at once.

    def fold_in_replica(seed):
        """Returns `seed`: there are no replicas to tell apart."""
        return seed


@keras.saving.register_keras_serializable(package="keras_regimen")
class SeedGenerator(keras.random.SeedGenerator):
    """Hands out a new seed for each draw, and other seeds on each replica.

    Use it in a layer's `__init__` wherever you would use
    `keras.random.SeedGenerator`: under `tf.distribute` that one gives all
    replicas the same seed, so that the samples of different replicas share
    their dropout masks. On one device both give the same seeds, to the bit.

    Args:
        seed: Optional integer in `[0, 2**31)`, the range that all backends
            share. Fixes the sequence. Default `None`: drawn from Python's
            random state, which `keras.utils.set_random_seed` sets.
        name: Optional string. The name of the generator.
        **kwargs: Arguments of `keras.random.SeedGenerator`.

    Raises:
        ValueError: If `seed` is not an integer in `[0, 2**31)`.

    Example:

    >>> ours, theirs = SeedGenerator(7), keras.random.SeedGenerator(7)
    >>> bool(keras.ops.all(ours.next() == theirs.next()))
    True
    """

    def __init__(
        self, seed: int | None = None, name: str | None = None, **kwargs
    ):
        if seed is not None and not (
            isinstance(seed, int) and 0 <= seed < 2**31
        ):
            raise ValueError(
                "`seed` must be an integer in [0, 2**31), or None for a "
                f"random one. Received: seed={seed}"
            )
        super().__init__(seed, name=name, **kwargs)

    def next(self, ordered: bool = True):
        """Returns the next seed.

        Args:
            ordered: Boolean. If `True` (the default), the seeds count up
                from the first; if `False`, they follow a near-unique sequence.

        Returns:
            Integer tensor of shape `(2,)`.
        """
        return fold_in_replica(super().next(ordered))
