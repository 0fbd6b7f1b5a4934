import keras
import pytest

from keras_regimen.callbacks.resuming.callbacks_before import callbacks_before


class Look(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.found = callbacks_before(self)


def begin(*callbacks):
    keras.callbacks.CallbackList(
        list(callbacks),
        add_history=True,
        add_progbar=True,
        epochs=1,
        steps=1,
        verbose=0,
    ).on_train_begin()


def test_finds_the_others_and_leaves_out_what_keras_adds():
    other, look = keras.callbacks.TerminateOnNaN(), Look()
    begin(keras.callbacks.History(), other, look)
    assert look.found == [other]


def test_refuses_a_callback_after_it():
    with pytest.raises(
        ValueError, match="`Look` must be.*TerminateOnNaN after"
    ):
        begin(Look(), keras.callbacks.TerminateOnNaN())


def test_refuses_a_loop_that_has_no_list():
    with pytest.raises(ValueError, match="Received: a call from elsewhere"):
        Look().on_train_begin()
