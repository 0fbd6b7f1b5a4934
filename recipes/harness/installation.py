"""What is installed, and what of it is known not to work together."""

import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from .engine.backend import BACKENDS, check_installed, chosen_backend
from .engine.engine import available_cores
from .engine.probe import Probe, probe
from .evidence.discovery import PACKAGE
from .finding import Finding
from .refusal import RefusalError

_NAME = "keras-regimen"

# By the module's name, the distribution's: what recipes are run with.
_LIBRARIES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "keras": "keras",
    "sklearn": "scikit-learn",
    # TFDS loads its parts late; this one needs what it does not declare.
    "tensorflow_datasets.core.dataset_builder": "tensorflow-datasets",
    "keras_tuner": "keras-tuner",
    "distributed": "distributed",
}
_GPU_REMEDIES = {
    "tensorflow": f"pip install '{_NAME}[gpu]'",
    "jax": "pip install 'jax[cuda12]'",
    "torch": "install the CUDA build of torch",
}


def installation() -> Iterator[Finding]:
    """Yields what was found of libraries, their versions and devices.

    Libraries are imported in another process: they may be broken.
    """
    yield Finding("python", "ok", platform.python_version())
    yield from _requirements()
    yield from _tested(PACKAGE / "constraints.txt")
    yield from _surroundings()
    try:
        backend = chosen_backend()
        check_installed(backend)
    except RefusalError as error:
        yield Finding(
            "backend",
            "problem",
            str(error),
            "unset KERAS_BACKEND, or name one that is installed",
        )
        return
    found = probe([backend, *_LIBRARIES], backend)
    yield from _broken(found)
    yield from _keras(found, backend)


def _requirements() -> Iterator[Finding]:
    """Compares what the package says that it needs with what is there."""
    try:
        from packaging.requirements import Requirement

        lines = importlib.metadata.requires(_NAME) or []
        version = importlib.metadata.version(_NAME)
    except (ImportError, importlib.metadata.PackageNotFoundError) as error:
        yield Finding(
            "versions",
            "warning",
            f"not compared with what {_NAME} needs: {error}",
            f"pip install '{_NAME}[recipes]'",
        )
        return
    missing, wrong = [], []
    for line in lines:
        needed = Requirement(line)
        if needed.marker and not needed.marker.evaluate({"extra": "recipes"}):
            continue
        try:
            there = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(needed.name)
            continue
        if not needed.specifier.contains(there, prereleases=True):
            wrong.append(f"{needed.name} {there} ({needed.specifier} needed)")
    if missing:
        yield Finding(
            "versions",
            "problem",
            f"not installed: {', '.join(missing)}",
            f"pip install '{_NAME}[recipes]'",
        )
    if wrong:
        yield Finding(
            "versions",
            "problem",
            f"do not fit: {', '.join(wrong)}",
            f"pip install -U '{_NAME}[recipes]'",
        )
    if not missing and not wrong:
        named = ["keras", *(b for b in BACKENDS if _version(b)), "numpy"]
        told = ", ".join(f"{name} {_version(name)}" for name in named)
        yield Finding("versions", "ok", f"{_NAME} {version}, {told}")


def _tested(constraints: Path) -> Iterator[Finding]:
    if not constraints.is_file():
        return  # An install without the list of tested versions.
    tested = dict(
        re.findall(r"^([\w.-]+)==([^\s;#]+)", constraints.read_text(), re.M)
    )
    libraries = [*_LIBRARIES.values(), *sum(BACKENDS.values(), ())]
    other = [
        f"{name} {version} ({tested[name]})"
        for name in libraries
        if name in tested
        and (version := _version(name))
        and version.partition("+")[0] != tested[name]
    ]
    if other:
        yield Finding(
            "tested versions",
            "warning",
            f"other than those tested: {', '.join(other)}",
            f"pip install -c {constraints} '{_NAME}[recipes]', to have the "
            "very numbers of the evidence",
        )
    else:
        yield Finding("tested versions", "ok", "those that the tests pass with")


def _surroundings() -> Iterator[Finding]:
    """Looks for variables that are known to lead astray."""
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "").lower()
    if legacy in ("1", "true"):
        there = "is Keras 2" if _version("tf-keras") else "cannot be imported"
        yield Finding(
            "environment",
            "warning",
            f"TF_USE_LEGACY_KERAS is set: recipes use keras itself, but "
            f"tf.keras in a file of your own {there}",
            "unset TF_USE_LEGACY_KERAS",
        )


def _broken(found: Probe) -> Iterator[Finding]:
    for module, error in found.failed.items():
        name = _LIBRARIES.get(module, module)
        remedy = f"pip install --force-reinstall {name}"
        if "importlib_resources" in error:
            # TFDS imports it and does not declare it.
            remedy = "pip install importlib_resources"
        elif match := re.search(r"No module named '([\w.]+)'", error):
            missing = match[1].partition(".")[0]
            remedy = f"pip install {_LIBRARIES.get(missing, missing)}"
        yield Finding(name, "problem", f"does not work: {error}", remedy)


def _keras(found: Probe, backend: str) -> Iterator[Finding]:
    if not found.keras:
        return
    yield Finding("backend", "ok", f"Keras computes with {backend}")
    devices = found.keras["devices"]
    cores = available_cores()
    told = f"{cores} CPU core{'s' * (cores > 1)}"
    if devices:
        yield Finding("devices", "ok", f"{told}; GPU: {', '.join(devices)}")
    elif _has_nvidia_gpu():
        yield Finding(
            "devices",
            "warning",
            f"{told}; this machine has an NVIDIA GPU, which {backend} does "
            "not see",
            _GPU_REMEDIES[backend],
        )
    else:
        yield Finding("devices", "ok", f"{told}; no GPU")


def _has_nvidia_gpu() -> bool:
    folder = Path("/proc/driver/nvidia/gpus")
    return folder.is_dir() and any(folder.iterdir())


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
