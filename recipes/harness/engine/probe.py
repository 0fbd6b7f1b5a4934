"""Imports what recipes need, in a process of its own that may well crash.

`python -m keras_regimen.recipes.harness.engine.probe MODULE...` prints lines
of JSON: one before each import, so that a crash has a name, one after it, and
at last what Keras computes with.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .process import variables

_SECONDS = 300


@dataclass
class Probe:
    """What the probe saw.

    Args:
        failed: The error of each module that cannot be imported.
        keras: What `keras` says of itself: backend and devices; empty if it
            does not work.
    """

    failed: dict[str, str] = field(default_factory=dict)
    keras: dict[str, Any] = field(default_factory=dict)


def probe(modules: Sequence[str], backend: str) -> Probe:
    """Imports modules in a new process, then lets Keras compute something.

    Args:
        modules: Names, in the order in which they are imported.
        backend: String. What Keras is to compute with.

    Returns:
        A `Probe`, whatever happened to that process.
    """
    command = [sys.executable, "-m", __name__, *modules]
    try:
        ended = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            env={**os.environ, **variables(backend)},
        )
        output, ending = ended.stdout, f"it ended with {ended.returncode}"
        errors = ended.stderr.strip().splitlines()
        if ended.returncode < 0:
            ending = f"it crashed with signal {-ended.returncode}"
        elif ended.returncode and errors:
            ending = errors[-1]
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").decode()
        ending = f"it took more than {_SECONDS} seconds"
    return _read(output, ending)


def _read(output: str, ending: str) -> Probe:
    found = Probe()
    waiting: str | None = "python"
    for line in output.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue  # Libraries print, too.
        if not isinstance(said, dict):
            continue
        waiting = said.get("trying", waiting)
        if "failed" in said:
            found.failed[said["failed"]] = said["error"]
        found.keras = said.get("keras", found.keras)
        if said.get("done"):
            waiting = None
    if waiting is not None:
        found.failed[waiting] = ending
    return found


def _main(modules: Sequence[str]) -> None:
    for module in modules:
        _say(trying=module)
        try:
            importlib.import_module(module)
        except Exception as error:
            _say(failed=module, error=f"{type(error).__name__}: {error}")
    _say(trying="keras")
    try:
        _say(keras=_keras())
    except Exception as error:
        _say(failed="keras", error=f"{type(error).__name__}: {error}")
    _say(done=True)


def _say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def _keras() -> dict[str, Any]:
    import keras

    rows, columns = keras.ops.ones((3, 4)), keras.ops.ones((4, 1))
    figure = float(keras.ops.sum(keras.ops.matmul(rows, columns)))
    if figure != 12.0:
        raise ArithmeticError(f"three rows of four ones add up to {figure}")
    return {
        "backend": keras.backend.backend(),
        "devices": _devices(keras.backend.backend()),
    }


def _devices(backend: str) -> list[str]:
    """Returns the names of the accelerators that a backend sees."""
    if backend == "tensorflow":
        import tensorflow as tf

        return [
            tf.config.experimental.get_device_details(gpu).get(
                "device_name", gpu.name
            )
            for gpu in tf.config.list_physical_devices("GPU")
        ]
    if backend == "jax":
        import jax

        found = [d for d in jax.devices() if d.platform != "cpu"]
        return [device.device_kind for device in found]
    import torch

    count = torch.cuda.device_count()
    return [torch.cuda.get_device_name(number) for number in range(count)]


if __name__ == "__main__":
    _main(sys.argv[1:])
