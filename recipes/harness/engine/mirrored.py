"""Cells on several devices with TensorFlow: one strategy for the process."""

import contextlib
from typing import Any

from ..refusal import RefusalError

# A second strategy in a process breaks the next model ("shape mismatch in
# the collective instance"), so this one serves all cells.
_strategy: Any = None


def mirrored(devices: int) -> Any:
    """Returns this process' `tf.distribute.MirroredStrategy`.

    It is over the first GPUs; where there is none, the CPU is split into
    virtual devices, which TensorFlow can do before it first computes.

    Args:
        devices: Integer.

    Raises:
        RefusalError: If there are fewer GPUs, TensorFlow has computed already
            on fewer virtual devices, or a cell had another number.
    """
    global _strategy
    if _strategy is None:
        _strategy = _made(devices)
    count = _strategy.num_replicas_in_sync
    if count != devices:
        raise RefusalError(
            f"this process has a strategy of {count} devices, and a second "
            f"one would break it: start another process for {devices}"
        )
    return _strategy


def _made(devices: int) -> Any:
    import tensorflow as tf

    found = [device.name for device in tf.config.list_physical_devices("GPU")]
    kind = "GPU"
    if not found:
        kind = "CPU"
        _split_cpu(devices)
        found = [d.name for d in tf.config.list_logical_devices("CPU")]
    if len(found) < devices:
        raise RefusalError(
            f"TensorFlow has {len(found)} {kind} device"
            f"{'s' * (len(found) > 1)} in this process, and the strategy needs "
            f"{devices}"
            + (
                ": it has computed already, and splits the CPU no more; start "
                "the process again"
                if kind == "CPU"
                else ""
            )
        )
    return tf.distribute.MirroredStrategy(
        [f"{kind}:{number}" for number in range(devices)]
    )


def _split_cpu(devices: int) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    with contextlib.suppress(RuntimeError):  # It has started.
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * devices
        )
