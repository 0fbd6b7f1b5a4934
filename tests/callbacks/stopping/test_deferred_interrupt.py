import signal
import threading

import keras
import numpy as np
import pytest

from keras_regimen.callbacks import EarlyStopping, PrecheltStopping
from keras_regimen.custom_models import fit_in_memory


@pytest.fixture(autouse=True)
def python_handles_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    # No test may leave a handler behind.
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def small_model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def data():
    x = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
    return x, x.sum(axis=1, keepdims=True)


class At(keras.callbacks.Callback):
    """Logs `judged` per epoch, records weights, acts at one batch."""

    def __init__(self, losses, epoch, act, per_batch=True):
        super().__init__()
        self.losses, self.when, self.act = losses, epoch, act
        self.weights, self.batches = [], 0
        if per_batch:
            self.on_train_batch_end = self.act_amid_epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if epoch == self.when and "on_train_batch_end" not in vars(self):
            self.act()

    def act_amid_epoch(self, batch, logs=None):
        self.batches += 1
        if self.epoch == self.when and batch == 0:
            self.act()

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())
        logs["judged"] = self.losses[epoch]


def stoppers():
    arguments = {"monitor": "judged", "restore": "weights"}
    return [
        EarlyStopping(patience=9, mode="min", **arguments),
        PrecheltStopping("GL", threshold=900, **arguments),
    ]


def fit(model, callbacks, fit=keras.Model.fit, **arguments):
    x, y = data()
    arguments = {"epochs": 9, "verbose": 0, "batch_size": 8, **arguments}
    return fit(model, x, y, callbacks=callbacks, **arguments)


def assert_holds(model, weights):
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("stopper", stoppers(), ids=["patience", "GL"])
def test_ctrl_c_ends_after_the_batch_and_restores_the_best_epoch(stopper):
    model = small_model()
    at = At([3, 1, 2, 0], 3, press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [at, stopper])
    # Three batches in each of three epochs, one in the fourth.
    assert at.batches == 10
    assert_holds(model, at.weights[1])
    assert stopper.best_epoch == 1
    fit(model, [], epochs=1)


def test_ctrl_c_before_the_first_epoch_has_ended_restores_nothing():
    model = small_model()
    at = At([1], 0, press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [at, stoppers()[0]])
    assert at.batches == 1
    assert_holds(model, at.weights[0])


def test_ctrl_c_in_validation_cuts_it_short_and_restores():
    model = small_model()
    at = At([3, 1, 2], None, press_ctrl_c)
    validated = []

    def on_test_batch_end(batch, logs=None):
        validated.append(batch)
        if at.epoch == 2 and batch == 0:
            press_ctrl_c()

    press = keras.callbacks.LambdaCallback()
    press.on_test_batch_end = on_test_batch_end
    with pytest.raises(KeyboardInterrupt):
        fit(model, [at, press, stoppers()[0]], validation_data=data())
    assert validated == [0, 1, 2, 0, 1, 2, 0]
    assert_holds(model, at.weights[1])


@pytest.mark.filterwarnings("ignore:.fit_in_memory. trains with plain")
def test_ctrl_c_in_a_compiled_epoch_restores_after_it():
    model = small_model()
    at = At([3, 1, 2, 0], 2, press_ctrl_c, per_batch=False)
    with pytest.raises(KeyboardInterrupt):
        fit(model, [at, stoppers()[0]], fit=fit_in_memory)
    assert_holds(model, at.weights[1])


def test_second_ctrl_c_leaves_at_once():
    model = small_model()

    def twice():
        press_ctrl_c()
        press_ctrl_c()

    at = At([3, 1, 2], 2, twice)
    stopper = stoppers()[0]
    with pytest.raises(KeyboardInterrupt), stopper:
        fit(model, [at, stopper])
    assert len(at.weights) == 2
    assert_holds(model, at.weights[1])


def test_handler_that_was_there_decides():
    def carry_on(*_):
        heard.append(signal.SIGINT)

    heard = []
    before = signal.signal(signal.SIGINT, carry_on)
    at = At([3, 1, 2, 0], 2, press_ctrl_c)
    fit(small_model(), [at, stoppers()[0]], epochs=4)
    assert signal.signal(signal.SIGINT, before) is carry_on
    assert (heard, at.batches) == ([signal.SIGINT], 12)


def test_handler_is_put_back_when_training_ends_and_absent_without_restore():
    def look():
        handlers.append(signal.getsignal(signal.SIGINT))

    handlers = []
    for restore in (None, "weights"):
        stopper = EarlyStopping("judged", mode="min", restore=restore)
        fit(small_model(), [At([1], 0, look), stopper], epochs=1)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert handlers[0] is signal.default_int_handler
    assert handlers[1] is not signal.default_int_handler


def fail():
    raise OSError("Disk full.")


def test_after_a_failed_fit_ctrl_c_acts_as_before():
    stopper = stoppers()[0]
    model = small_model()
    with pytest.raises(OSError, match="Disk full"):
        fit(model, [At([3, 1, 2], 2, fail), stopper])
    weights = model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        press_ctrl_c()
    assert_holds(model, weights)
    # And the next training chains to no stale handler.
    fit(model, [At([1], None, None), stopper], epochs=1)


def test_any_exception_restores_inside_with():
    model = small_model()
    at = At([3, 1, 2], 2, fail)
    with pytest.raises(OSError, match="Disk full"), stoppers()[0] as stopper:
        fit(model, [at, stopper])
    assert len(at.weights) == 2
    assert_holds(model, at.weights[1])
    fit(model, [], epochs=1)


def test_training_that_has_ended_is_not_restored_again_by_with():
    model = small_model()
    after = [np.full((3, 1), 5.0), np.zeros(1)]
    stopper = stoppers()[0]

    def train_and_fail():
        fit(model, [At([1, 2], None, None), stopper], epochs=2)
        model.set_weights(after)
        fail()

    with pytest.raises(OSError, match="Disk full"), stopper:
        train_and_fail()
    assert_holds(model, after)


def test_two_callbacks_that_restore_get_along():
    model = small_model()
    callbacks = stoppers()
    for _ in range(2):
        at = At([3, 1, 2, 0], 3, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt), callbacks[0], callbacks[1]:
            fit(model, [at, *callbacks])
        assert_holds(model, at.weights[1])


def test_thread_that_may_not_handle_signals_trains_without():
    model = small_model()
    at = At([3, 1, 2], None, None)
    stopper = stoppers()[0]
    thread = threading.Thread(
        target=fit, args=(model, [at, stopper]), kwargs={"epochs": 3}
    )
    thread.start()
    thread.join()
    assert_holds(model, at.weights[1])


@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Only JAX gives buffers away."
)
def test_weights_that_a_failed_step_took_along_come_back():
    import jax

    def on_host(x):
        calls.append(len(x))
        if len(calls) > 4:
            raise RuntimeError("Device fault.")
        return x

    class Fragile(keras.layers.Layer):
        def call(self, x):
            shape = jax.ShapeDtypeStruct((), x.dtype)
            one = jax.pure_callback(lambda: on_host(np.ones(1))[0], shape)
            return x * jax.lax.stop_gradient(one.astype(x.dtype))

    calls = []
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(1), Fragile()]
    )
    model.compile("adam", "mse")
    at = At([1] * 9, None, None)
    with pytest.raises(Exception, match="Device fault"), stoppers()[0] as one:
        fit(model, [at, one])
    assert_holds(model, at.weights[0])
