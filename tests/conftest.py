"""Quiet, deterministic Keras for every test."""

import os
import tempfile

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Data is prepared once for the run, and not in the user's own cache.
os.environ.setdefault("REGIMEN_CACHE", tempfile.mkdtemp(prefix="regimen-"))
if os.environ["KERAS_BACKEND"] == "torch":
    # With a process per core, more threads only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# On JAX most of the time goes into compiling the same small programs again,
# for the model of each test. A cache that the run shares saves half of that,
# and not optimizing them a quarter of the rest.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", tempfile.mkdtemp(prefix="jax-")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_keras():
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")
