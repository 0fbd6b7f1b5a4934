import signal

import pytest

from keras_regimen.recipes.harness.engine.interrupt import interrupt_kept


class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_strikes_in_a_finalizer_is_raised_later():
    with interrupt_kept() as raise_if_interrupted:
        raise_if_interrupted()
        Finalized()  # Python drops the exception here.
        with pytest.raises(KeyboardInterrupt):
            raise_if_interrupted()


def test_an_interrupt_is_raised_at_once_and_the_handler_put_back():
    with interrupt_kept(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_handler_is_left_alone():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with interrupt_kept() as raise_if_interrupted:
            signal.raise_signal(signal.SIGINT)
            raise_if_interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [1]
