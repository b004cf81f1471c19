"""Counts the cases as they are made: what the suite says of its size is what it has really done."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TypeVar

#: Nothing may take longer, in seconds, on a machine that makes `_yardstick` in `_YARDSTICK_S`.
LONGEST_S = 5.0
_YARDSTICK_S = 0.15
#: A shared machine is not as fast in one second as in the next; what hangs takes longer than this.
_SPARE = 2.0
#: A call that does not come back is ended then.
_STUCK_S = 30

Result = TypeVar("Result")


class Verdict(StrEnum):
    """How a case ended."""

    REFUSED = "refused"
    PARTLY = "partly"  # some rows refused by name, the others answered
    ANSWERED = "answered"


class StuckError(BaseException):
    """No handler of errors takes it for one of its own."""


class Tally:
    """How many cases each channel has had, how they ended, and how long the slowest took."""

    def __init__(self) -> None:
        self.verdicts: defaultdict[str, Counter[Verdict]] = defaultdict(Counter)
        self.slowest: defaultdict[str, float] = defaultdict(float)

    def add(self, channel: str, verdict: Verdict) -> None:
        """Count one case."""
        self.verdicts[channel][verdict] += 1

    def total(self, *verdicts: Verdict) -> int:
        """Sum up the cases of all channels that ended in one of the ways; of all ways, if none is named."""
        return sum(
            count
            for counter in self.verdicts.values()
            for verdict, count in counter.items()
            if not verdicts or verdict in verdicts
        )

    def lines(self) -> Iterator[str]:
        """Give the figures as lines of text."""
        yield f"{'channel':<28}{'cases':>8}{'refused':>10}{'partly':>10}{'answered':>10}{'slowest':>10}"
        for channel, counter in sorted(self.verdicts.items()):
            parts = "".join(
                f"{counter[verdict]:>{width}}" for verdict, width in zip(Verdict, (9, 8, 10), strict=True)
            )
            yield f"{channel:<28}{counter.total():>8}{parts}{self.slowest[channel]:>8.2f} s"
        sums = "".join(
            f"{self.total(verdict):>{width}}" for verdict, width in zip(Verdict, (9, 8, 10), strict=True)
        )
        yield f"{'all':<28}{self.total():>8}{sums}"


TALLY = Tally()


def in_time(channel: str, call: Callable[[], Result], *, elsewhere: bool = False) -> Result:
    """Make a call and note how long it takes.

    What takes too long gets a second chance, and a slower machine proportionally more time. On a machine that has
    more to do than it can, only the time counts that this process itself has had; or, if the work is done by
    another (`elsewhere`), its share of the time. What other tests have left in the memory is not searched
    meanwhile: nobody who calls this has it.
    """
    seconds = []
    for _ in range(2):
        started, used = time.perf_counter(), time.process_time()
        with _undisturbed():
            result = call()
        took, used = time.perf_counter() - started, time.process_time() - used
        shares = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        seconds.append(took / shares if elsewhere else min(took, used) if shares > 1 else took)
        if seconds[-1] <= LONGEST_S:
            break
    took = min(seconds)
    TALLY.slowest[channel] = max(TALLY.slowest[channel], took)
    if took > LONGEST_S:
        slowness = max(1.0, _yardstick() / _YARDSTICK_S)
        said = f"took {took:.1f} s on a machine {slowness:.2f} times as slow as ours"
        assert took <= _SPARE * LONGEST_S * slowness, said
    return result


def _yardstick() -> float:
    """Give the seconds of processor time that work like that of reading a table takes here, at best of three."""
    times = []
    for _ in range(3):
        used = time.process_time()
        cells = [f"LATP x={number / 1e6:.6f}" for number in range(200_000)]
        words = {cell: " ".join(cell.split()).lower() for cell in cells}
        sorted(words, key=words.__getitem__)
        times.append(time.process_time() - used)
    return min(times)


@contextmanager
def _undisturbed() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise StuckError(f"did not come back within {_STUCK_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_STUCK_S)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
