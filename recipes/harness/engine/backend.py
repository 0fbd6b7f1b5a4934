"""Which of Keras' backends a run is on."""

import importlib.util
import os
import sys

from ..refusal import RefusalError

# The distributions whose versions decide a backend's numbers, its own first.
BACKENDS = {
    "tensorflow": ("tensorflow",),
    "jax": ("jax", "jaxlib"),
    "torch": ("torch",),
}


def chosen_backend(asked: str | None = None) -> str:
    """Returns the name of the backend that a run is on.

    It is what was asked for, else the environment variable `KERAS_BACKEND`,
    else TensorFlow: what Keras' own configuration file says is passed over,
    so that a command gives the same rows wherever it runs.

    Args:
        asked: Optional string, `"tensorflow"`, `"jax"` or `"torch"`.

    Raises:
        RefusalError: If it is none of those.

    Example:

    >>> chosen_backend("jax")
    'jax'
    """
    given = os.environ.get("KERAS_BACKEND")
    backend = asked or given or "tensorflow"
    if backend not in BACKENDS:
        source = f"backend={asked!r}" if asked else f"KERAS_BACKEND={given}"
        raise RefusalError(
            f"the backend must be one of {', '.join(BACKENDS)}. "
            f"Received: {source}"
        )
    return backend


def check_installed(backend: str) -> None:
    """Refuses a backend that this environment does not have.

    Raises:
        RefusalError: If it is not installed, with how to install it.
    """
    if backend not in sys.modules and not importlib.util.find_spec(backend):
        extra = "recipes" if backend == "tensorflow" else backend
        raise RefusalError(
            f"the backend {backend} is not installed: "
            f"pip install 'keras-regimen[{extra}]'"
        )


def use_here(asked: str | None = None) -> None:
    """Sets the backend of this process, before Keras is imported.

    If Keras is there already, what it runs on stays, and nothing is done
    unless something else was asked for.

    Args:
        asked: Optional string, as of `chosen_backend`.

    Raises:
        RefusalError: If Keras runs on another backend already, or the backend
            is unknown or not installed.
    """
    keras = sys.modules.get("keras")
    if keras is None:
        backend = chosen_backend(asked)
        check_installed(backend)
        os.environ["KERAS_BACKEND"] = backend
    elif asked and chosen_backend(asked) != keras.backend.backend():
        raise RefusalError(
            f"Keras already runs on {keras.backend.backend()} in this process "
            f"and cannot change to {asked}; use worker processes, or start "
            f"with KERAS_BACKEND={asked}"
        )
