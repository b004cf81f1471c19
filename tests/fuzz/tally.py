"""Counts the malformed inputs of a test run and how they ended, and limits the time of each."""

from __future__ import annotations

import gc
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TypeVar

#: Limit of the processor time of one input in seconds. Tests fail above twice as much, to allow for slow machines.
#: Hanging tests are ended by pytest's timeout.
MAX_SECONDS = 5.0

#: Minimum number of malformed inputs in a run of all quick tests, by prefix of the channel. HTTP requests are
#: counted in `tests/serving/test_fuzz.py`.
MIN_INPUTS = {"Python": 1_500, "CLI": 1_500}
MIN_REFUSED_INPUTS = 3_000

Result = TypeVar("Result")


class Verdict(StrEnum):
    """How the program treated an input."""

    REFUSED = "refused"
    PARTLY = "partly"  # some rows rejected, the others predicted
    ANSWERED = "answered"


class Tally:
    """Number of inputs by channel and verdict, and the longest time of each channel."""

    def __init__(self) -> None:
        self.verdicts: defaultdict[str, Counter[Verdict]] = defaultdict(Counter)
        self.slowest: defaultdict[str, float] = defaultdict(float)

    def add(self, channel: str, verdict: Verdict) -> None:
        """Count one input."""
        self.verdicts[channel][verdict] += 1

    def total(self, *verdicts: Verdict) -> int:
        """Return the number of inputs of all channels with one of the verdicts, by default with any."""
        return sum(
            count
            for counter in self.verdicts.values()
            for verdict, count in counter.items()
            if not verdicts or verdict in verdicts
        )

    def too_few(self) -> list[str]:
        """Return a message for each count below its minimum."""
        counts = {
            f"malformed inputs of {channel}": (
                sum(counter.total() for name, counter in self.verdicts.items() if name.startswith(channel)),
                minimum,
            )
            for channel, minimum in MIN_INPUTS.items()
        }
        counts["refused inputs"] = (self.total(Verdict.REFUSED, Verdict.PARTLY), MIN_REFUSED_INPUTS)
        return [
            f"{count} {what}, fewer than {minimum}" for what, (count, minimum) in counts.items() if count < minimum
        ]

    def to_json(self) -> dict[str, dict[str, float]]:
        """Return the counts in a form that a pytest-xdist worker can send."""
        return {
            channel: {verdict.value: counter[verdict] for verdict in Verdict} | {"slowest": self.slowest[channel]}
            for channel, counter in self.verdicts.items()
        }

    def merge(self, other: dict[str, dict[str, float]]) -> None:
        """Add the counts of another process."""
        for channel, figures in other.items():
            self.slowest[channel] = max(self.slowest[channel], figures["slowest"])
            self.verdicts[channel].update({verdict: int(figures[verdict.value]) for verdict in Verdict})

    def lines(self) -> Iterator[str]:
        """Yield the lines of a table of the counts."""
        yield f"{'channel':<28}{'cases':>8}{'refused':>10}{'partly':>10}{'answered':>10}{'slowest':>10}"
        for channel, counter in sorted(self.verdicts.items()):
            parts = "".join(
                f"{counter[verdict]:>{width}}" for verdict, width in zip(Verdict, (9, 8, 10), strict=True)
            )
            yield f"{channel:<28}{counter.total():>8}{parts}{self.slowest[channel]:>8.2f} s"
        totals = "".join(
            f"{self.total(verdict):>{width}}" for verdict, width in zip(Verdict, (9, 8, 10), strict=True)
        )
        yield f"{'all':<28}{self.total():>8}{totals}"


TALLY = Tally()


def in_time(channel: str, call: Callable[[], Result], *, elsewhere: bool = False) -> Result:
    """Call and fail if it takes too much processor time; a slow call is repeated once.

    With `elsewhere` another process does the work: its wall time is recorded but not limited.
    """
    clock = time.perf_counter if elsewhere else time.process_time
    durations = []
    for _ in range(2):
        gc.freeze()  # garbage of other tests must not be collected in this time
        started = clock()
        try:
            result = call()
        finally:
            durations.append(clock() - started)
            gc.unfreeze()
        if elsewhere or durations[-1] <= MAX_SECONDS:
            break
    TALLY.slowest[channel] = max(TALLY.slowest[channel], min(durations))
    assert elsewhere or min(durations) <= 2 * MAX_SECONDS, f"took {min(durations):.1f} s of processor time"
    return result
