"""Keras' own tests of early stopping, as shipped, run on ours."""

import importlib.util
import pathlib
import types
import unittest

import keras.src.callbacks.early_stopping

from keras_regimen.callbacks import EarlyStopping


def load_keras_tests():
    path = pathlib.Path(keras.src.callbacks.early_stopping.__file__)
    spec = importlib.util.spec_from_file_location(
        "keras_early_stopping_test", path.with_name("early_stopping_test.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.callbacks = types.SimpleNamespace(EarlyStopping=EarlyStopping)
    return module.EarlyStoppingTest


def pytest_generate_tests(metafunc):
    metafunc.config.addinivalue_line(
        "markers", "requires_trainable_backend: Keras' own marker"
    )
    case = load_keras_tests()
    names = unittest.defaultTestLoader.getTestCaseNames(case)
    tests = [case(name) for name in names if name != "test_session"]
    assert len(tests) >= 7
    metafunc.parametrize("keras_test", tests, ids=lambda test: test.id())


def test_keras_test_passes_on_ours(keras_test):
    keras_test.debug()
