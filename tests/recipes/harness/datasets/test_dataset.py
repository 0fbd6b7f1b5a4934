import pickle

import numpy as np
import pytest

from keras_regimen.recipes.harness import datasets
from keras_regimen.recipes.harness.datasets.dataset import (
    fraction,
    whole_numbers,
)

SMALL = {
    "adding_problem": {"length": 4, "train_size": 7, "test_size": 9},
    "breast_cancer": {"train_size": 50},
    "copy_task": {"delay": 3, "train_size": 7, "test_size": 9},
    "diabetes": {"validation_size": 30},
    "digits": {"train_size": 50, "label_noise": 0.5},
    "two_moons": {"test_size": 50, "noise": 0.1},
    "two_spirals": {"density": 2},
    "wine": {"label_noise": 0.25},
}


@pytest.mark.parametrize("name", SMALL)
def test_name_is_the_call_without_default_settings(name):
    source = getattr(datasets, name)
    given = ", ".join(f"{k}={v!r}" for k, v in SMALL[name].items())
    assert source().name == repr(source()) == f"{name}()"
    assert source(**SMALL[name]).name == f"{name}({given})"


@pytest.mark.parametrize("name", SMALL)
def test_pickled_copy_is_equal_and_draws_the_same_rows(name):
    data = getattr(datasets, name)(**SMALL[name])
    copy = pickle.loads(pickle.dumps(data))  # noqa: S301
    assert copy == data
    assert hash(copy) == hash(data)
    assert copy.name == data.name
    assert copy(3).fingerprint == data(3).fingerprint
    assert copy(4).fingerprint != data(3).fingerprint


def test_settings_decide_equality():
    assert datasets.wine() == datasets.wine(train_size=np.int64(90))
    assert datasets.wine() != datasets.wine(train_size=91)
    assert datasets.wine(90, 40) != datasets.diabetes(90, 40)


def test_numpy_numbers_leave_no_trace_in_the_name():
    data = datasets.wine(train_size=np.int64(80), label_noise=np.float64(0.25))
    assert data.name == "wine(train_size=80, label_noise=0.25)"


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("value", [0, -1, 1.5, 10.0, float("nan"), "3", None])
def test_sizes_are_refused_at_construction(name, value):
    with pytest.raises(ValueError, match=rf"validation_size={value!r}"):
        getattr(datasets, name)(validation_size=value)


@pytest.mark.parametrize(
    "name", ["breast_cancer", "digits", "two_moons", "wine"]
)
@pytest.mark.parametrize("value", [-0.1, 1.1, 30, float("nan")])
def test_label_noise_is_refused_at_construction(name, value):
    with pytest.raises(ValueError, match=rf"\[0, 1\].*label_noise={value!r}"):
        getattr(datasets, name)(label_noise=value)


@pytest.mark.parametrize("name", SMALL)
def test_bad_seed_is_refused(name):
    with pytest.raises(ValueError, match="seed=-1"):
        getattr(datasets, name)(**SMALL[name])(-1)


def test_checks_return_plain_numbers():
    assert whole_numbers(a=np.int32(3), b=4) == (3, 4)
    assert type(whole_numbers(a=np.int32(3))[0]) is int
    assert type(fraction(a=np.float32(0.5))) is float
    with pytest.raises(ValueError, match="`a` must be an integer of 2"):
        whole_numbers(at_least=2, a=1)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="mnist"):
        _ = datasets.mnist


def test_every_public_name_is_handed_on():
    for name in datasets.__all__:
        assert getattr(datasets, name).__name__ == name
