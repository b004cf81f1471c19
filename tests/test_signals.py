import os
import signal
import threading

import pytest

from nasicon_ml.signals import first_ctrl_c, stoppable


@pytest.fixture
def handlers():
    """Python's own handling of the signals, and afterwards what was there."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_unwinds_and_is_remembered(number, error, handlers):
    with stoppable() as stop:
        stop.check()
        with pytest.raises(error) as raised:
            signal.raise_signal(number)
        with pytest.raises(error) as again:  # as if a library had swallowed it
            stop.check()
    assert again.value is raised.value
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert number != signal.SIGTERM or raised.value.code == 143


def test_a_handler_of_somebody_else_goes_on_and_is_no_stop(handlers):
    seen = []
    signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    with stoppable() as stop:
        signal.raise_signal(signal.SIGTERM)
        stop.check()
    assert seen == [signal.SIGTERM]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_is_ignored_stays_ignored(number, handlers):
    signal.signal(number, signal.SIG_IGN)
    with stoppable() as stop:
        signal.raise_signal(number)
        stop.check()


def test_outside_the_main_thread_nothing_is_changed(handlers):
    found = []

    def other():
        with stoppable():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_an_error_that_comes_of_the_unwinding_does_not_hide_the_signal(handlers):
    descriptor = os.open(os.devnull, os.O_RDONLY)

    def clean_up():
        try:
            os.close(descriptor)
            signal.raise_signal(signal.SIGTERM)
        finally:
            os.close(descriptor)  # as shutil.rmtree does

    with pytest.raises(SystemExit) as stopped, stoppable():
        clean_up()
    assert stopped.value.code == 143


def test_an_error_without_a_signal_passes(handlers):
    with pytest.raises(OSError, match="disk"), stoppable():
        raise OSError("disk")


def test_the_last_writes_are_done_before_a_signal_counts(handlers):
    done = []
    with stoppable() as stop:
        with stop.delayed():
            signal.raise_signal(signal.SIGINT)
            done.append("written")
        stop.check()
        with pytest.raises(KeyboardInterrupt), stop.delayed():  # noqa: PT012 -- the second of two
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), stop.delayed():
            done.append("begun after a signal")
    assert done == ["written"]


def test_a_first_ctrl_c_is_noted_and_a_second_one_interrupts(handlers):
    told = []
    with first_ctrl_c(lambda: told.append("told")) as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert told == ["told"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with first_ctrl_c(lambda: told.append("told")) as asked:
        signal.raise_signal(signal.SIGINT)
        assert not asked()
    assert told == ["told"]
