"""What numbers depend on besides the code: versions, device, threads."""

import importlib.metadata
import os
import platform
from typing import Any

import keras


def environment() -> dict[str, Any]:
    """Returns what numbers depend on besides the code."""
    names = ("keras", keras.backend.backend(), "numpy", "keras-regimen")
    return {
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in names},
        },
        "device": _device(),
        "threads": int(
            os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1
        ),
    }


def _device() -> str:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        names = [
            tf.config.experimental.get_device_details(gpu).get("device_name")
            for gpu in tf.config.list_physical_devices("GPU")
        ]
        return names[0] if names else "cpu"
    if keras.backend.backend() == "jax":
        import jax

        device = jax.devices()[0]
        return "cpu" if device.platform == "cpu" else device.device_kind
    if keras.backend.backend() == "torch":
        import torch

        return (
            torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        )
    return "cpu"
