"""How a process that runs cells is set up: one thread, one backend, quiet."""

import contextlib
import os
import sys
from collections.abc import Iterator

from ..refusal import RefusalError


def variables(backend: str) -> dict[str, str]:
    """Returns the environment variables of a process that runs cells."""
    return {
        # Cells are the parallelism. With one thread each, sums are added in
        # the same order whatever the number of workers.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # A GPU's memory is taken as it is needed, not all at the start.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        # Dask's default gives memory back after each step: page faults.
        "MALLOC_TRIM_THRESHOLD_": str(1 << 28),
        "KERAS_BACKEND": backend,
    }


@contextlib.contextmanager
def variables_set(backend: str) -> Iterator[None]:
    """Sets here what new processes must inherit, and sets it back at the end.

    Dask prefers what is set in this process to what it is told, and leaves
    behind here what it sets in new ones.
    """
    decisive = {
        name: value
        for name, value in variables(backend).items()
        if "THREADS" in name or name == "KERAS_BACKEND"
    }
    before = {name: os.environ.get(name) for name in variables(backend)}
    os.environ.update(decisive)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def set_up(backend: str) -> None:
    """Sets up this process, which somebody else started, to run cells.

    What reads its environment later, such as TensorFlow, finds the variables;
    what has read it already is told through its own interface.

    Raises:
        RefusalError: If Keras runs on another backend here, or TensorFlow
            already computes with more than one thread.
    """
    keras = sys.modules.get("keras")
    if keras is not None and keras.backend.backend() != backend:
        raise RefusalError(
            f"it already runs Keras on {keras.backend.backend()}, not "
            f"{backend}: start it again"
        )
    if os.environ.get("TF_NUM_INTRAOP_THREADS") != "1":
        _limit_tensorflow()
    os.environ.update(variables(backend))
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    with contextlib.suppress(ImportError):
        import threadpoolctl  # It comes with scikit-learn.

        threadpoolctl.threadpool_limits(1)


def _limit_tensorflow() -> None:
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return  # It will read the variables.
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        raise RefusalError(
            "it already runs TensorFlow with more than one thread: start it "
            "again, or with TF_NUM_INTRAOP_THREADS=1"
        ) from None
