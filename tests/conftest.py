"""Quiet, deterministic Keras for every test."""

import os
import tempfile

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Data is prepared once for the run, and not in the user's own cache.
os.environ.setdefault("REGIMEN_CACHE", tempfile.mkdtemp(prefix="regimen-"))

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_keras():
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")
