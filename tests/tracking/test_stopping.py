import signal
import threading

import pytest

from nasicon_ml.tracking.stopping import stoppable


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


def test_a_signal_that_is_ignored_stays_ignored(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stoppable() as stop:
        signal.raise_signal(signal.SIGINT)
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
