import keras
import pytest

from keras_regimen.recipes.harness.engine import kernel_cache
from keras_regimen.recipes.harness.engine.kernel_cache import (
    kernels_kept,
    random_state_is_held,
)

pytestmark = pytest.mark.tensorflow

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


@pytest.fixture(autouse=True)
def no_random_state(monkeypatch):
    monkeypatch.setattr(kernel_cache, "_drawn", 0)


def clearings(monkeypatch, action):
    """Returns how often TensorFlow clears its kernels in the meantime."""
    from tensorflow.python import pywrap_tfe

    count = 0
    clear = pywrap_tfe.TFE_ContextClearCaches

    def counted(handle):
        nonlocal count
        count += 1
        return clear(handle)

    monkeypatch.setattr(pywrap_tfe, "TFE_ContextClearCaches", counted)
    action()
    return count


def start_anew():
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)


def test_setting_seeds_and_session_anew_clears_no_kernel(monkeypatch):
    def kept():
        with kernels_kept():
            start_anew()

    assert clearings(monkeypatch, start_anew) == 2
    assert clearings(monkeypatch, kept) == 0


def test_seeds_are_set_all_the_same():
    draws = []
    for _ in range(2):
        with kernels_kept():
            start_anew()
        draws.append(float(keras.random.uniform(())))
    keras.utils.set_random_seed(3)
    assert draws == [float(keras.random.uniform(()))] * 2


def test_operations_with_a_random_state_are_noticed():
    assert not random_state_is_held()
    keras.random.uniform((2,), seed=keras.random.SeedGenerator(1))
    tf.random.stateless_uniform((2,), seed=(1, 2))
    assert not random_state_is_held()
    tf.random.uniform((2,))
    assert random_state_is_held()


def test_such_operations_still_start_anew():
    draw = tf.function(lambda: tf.random.uniform((4,)))
    first = []
    for _ in range(2):
        with kernels_kept():
            start_anew()
        first.append(draw().numpy().tolist())
        draw()
    assert first[0] == first[1]
