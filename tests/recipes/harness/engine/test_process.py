import os
import subprocess
import sys

import keras
import pytest

from keras_regimen.recipes.harness.engine import process
from keras_regimen.recipes.harness.refusal import RefusalError


def output(code, **variables):
    env = {
        name: value
        for name, value in os.environ.items()
        if "THREADS" not in name and name != "KERAS_BACKEND"
    }
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**env, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.split()


SET_UP = (
    "from keras_regimen.recipes.harness.engine import process\n"
    "from keras_regimen.recipes.harness.refusal import RefusalError\n"
)


def test_variables_hold_one_thread_and_the_backend():
    variables = process.variables("jax")
    assert variables["KERAS_BACKEND"] == "jax"
    threads = [v for k, v in variables.items() if "NUM" in k]
    assert threads == ["1"] * 4


def test_what_new_processes_inherit_is_set_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with process.variables_set("torch"):
        assert os.environ["OMP_NUM_THREADS"] == "1"
        assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
        assert os.environ["KERAS_BACKEND"] == "torch"
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
        os.environ["MALLOC_TRIM_THRESHOLD_"] = "left behind by Dask"
    assert dict(os.environ) == before


def test_another_backend_than_the_running_one_is_refused(monkeypatch):
    other = "torch" if keras.backend.backend() == "jax" else "jax"
    before = dict(os.environ)
    with pytest.raises(RefusalError, match=f"not {other}: start it again"):
        process.set_up(other)
    assert dict(os.environ) == before


@pytest.mark.slow
def test_a_process_that_somebody_started_computes_with_one_thread():
    """TensorFlow was imported before, and NumPy's BLAS has its threads."""
    pytest.importorskip("tensorflow")
    pytest.importorskip("threadpoolctl")
    code = SET_UP + (
        "import numpy, tensorflow as tf, threadpoolctl\n"
        "process.set_up('tensorflow')\n"
        "print(tf.config.threading.get_intra_op_parallelism_threads())\n"
        "print(tf.config.threading.get_inter_op_parallelism_threads())\n"
        "pools = threadpoolctl.threadpool_info()\n"
        "print(max(pool['num_threads'] for pool in pools))\n"
        "import keras; print(keras.backend.backend())\n"
        "process.set_up('tensorflow')\n"
    )
    assert output(code) == ["1", "1", "1", "tensorflow"]


@pytest.mark.slow
def test_tensorflow_that_has_started_with_more_threads_is_refused():
    pytest.importorskip("tensorflow")
    code = SET_UP + (
        "import tensorflow as tf\n"
        "tf.ones(3) + 1\n"
        "try:\n    process.set_up('tensorflow')\n"
        "except RefusalError as error:\n    print(error)\n"
    )
    assert " ".join(output(code)).startswith(
        "it already runs TensorFlow with more than one thread"
    )
    assert output(code, TF_NUM_INTRAOP_THREADS="1") == []
