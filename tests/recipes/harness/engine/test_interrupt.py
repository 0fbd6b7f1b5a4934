import signal

import pytest

from keras_regimen.recipes.harness.engine.interrupt import interrupt_kept


@pytest.fixture(autouse=True)
def python_handles_ctrl_c():
    # A job in the background of a shell starts with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


def test_the_handler_that_was_there_decides():
    def carry_on(*_):
        seen.append(1)

    seen = []
    signal.signal(signal.SIGINT, carry_on)
    with interrupt_kept() as raise_if_interrupted:
        signal.raise_signal(signal.SIGINT)
        raise_if_interrupted()
    assert seen == [1]
    assert signal.getsignal(signal.SIGINT) is carry_on


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupt_kept() as raise_if_interrupted:
        signal.raise_signal(signal.SIGINT)
        raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
