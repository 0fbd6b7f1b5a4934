"""Cells on several devices with JAX: each batch is shared out by XLA."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import keras
from keras.src.backend.jax import trainer

from ..refusal import RefusalError


class _DataParallel(keras.distribution.DataParallel):
    """Shares a batch out; what does not divide, each device computes whole."""

    def get_data_layout(self, data_shape: Any) -> Any:
        if data_shape[0] % self.num_model_replicas == 0:
            return super().get_data_layout(data_shape)
        return keras.distribution.TensorLayout(
            [None] * len(data_shape), self.device_mesh
        )


def data_parallel(devices: int) -> keras.distribution.DataParallel:
    """Returns a distribution over the first devices of this process.

    Those are GPUs, or, where there is none, virtual devices of the CPU, into
    which JAX can split it before it first computes.

    Args:
        devices: Integer.

    Raises:
        RefusalError: If there are fewer, or JAX has computed already.
    """
    with contextlib.suppress(RuntimeError):  # It has started.
        jax.config.update("jax_num_cpu_devices", devices)
    found = keras.distribution.list_devices()
    if len(found) < devices:
        raise RefusalError(
            f"JAX has {len(found)} device{'s' * (len(found) > 1)} in this "
            f"process, and the strategy needs {devices}: a CPU is split "
            "before JAX first computes; start the process again"
        )
    trainer.JAXEpochIterator._get_distributed_iterator = _laid_out
    return _DataParallel(devices=found[:devices], auto_shard_dataset=False)


def _laid_out(self: Any, distribution: Any) -> Iterator[Any]:
    """Yields batches, each in its own layout.

    Keras', which this replaces for want of an argument, lays out all batches
    as the first one, and fails where the last is smaller.
    """
    for batch in self.data_adapter.get_jax_iterator():
        yield trainer._distribute_data(batch)
