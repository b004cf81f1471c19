import os
import signal
import threading

import pytest

from nasicon_ml.signals import first_ctrl_c, stoppable


@pytest.fixture
def default_handlers():
    """Install Python's default signal handlers, and restore the previous ones afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_signal_raises_and_check_raises_it_again(number, error, default_handlers):
    with stoppable() as stop:
        stop.check()
        with pytest.raises(error) as raised:
            signal.raise_signal(number)
        with pytest.raises(error) as raised_again:  # as if a library had suppressed it
            stop.check()
    assert raised_again.value is raised.value
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert number != signal.SIGTERM or raised.value.code == 143


def test_existing_handler_that_does_not_raise_still_runs_and_does_not_stop(default_handlers):
    handled = []
    signal.signal(signal.SIGTERM, lambda number, _frame: handled.append(number))
    with stoppable() as stop:
        signal.raise_signal(signal.SIGTERM)
        stop.check()
    assert handled == [signal.SIGTERM]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ignored_signal_remains_ignored(number, default_handlers):
    signal.signal(number, signal.SIG_IGN)
    with stoppable() as stop:
        signal.raise_signal(number)
        stop.check()


def test_stoppable_leaves_handlers_unchanged_outside_the_main_thread(default_handlers):
    handlers = []

    def record_handler():
        with stoppable():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=record_handler)
    thread.start()
    thread.join()
    assert handlers == [signal.default_int_handler]


def test_cleanup_error_after_a_signal_is_replaced_by_system_exit(default_handlers):
    descriptor = os.open(os.devnull, os.O_RDONLY)

    def clean_up():
        try:
            os.close(descriptor)
            signal.raise_signal(signal.SIGTERM)
        finally:
            os.close(descriptor)  # as shutil.rmtree does

    with pytest.raises(SystemExit) as raised, stoppable():
        clean_up()
    assert raised.value.code == 143


def test_error_without_a_signal_propagates(default_handlers):
    with pytest.raises(OSError, match="disk"), stoppable():
        raise OSError("disk")


def test_delayed_block_ignores_one_signal_and_stops_at_the_second(default_handlers):
    executed = []
    with stoppable() as stop:
        with stop.delayed():
            signal.raise_signal(signal.SIGINT)
            executed.append("written")
        stop.check()
        with pytest.raises(KeyboardInterrupt), stop.delayed():  # noqa: PT012 -- the second of two
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt), stop.delayed():
            executed.append("begun after a signal")
    assert executed == ["written"]


def test_first_ctrl_c_calls_back_and_second_interrupts_unless_ignored(default_handlers):
    calls = []
    with first_ctrl_c(lambda: calls.append("called")) as is_pressed:
        assert not is_pressed()
        signal.raise_signal(signal.SIGINT)
        assert is_pressed()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert calls == ["called"]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with first_ctrl_c(lambda: calls.append("called")) as is_pressed:
        signal.raise_signal(signal.SIGINT)
        assert not is_pressed()
    assert calls == ["called"]
