"""Counts the cases as they are made: what the suite says of its size is what it has really done."""

from __future__ import annotations

import gc
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TypeVar

#: No case may take more processor time, in seconds; twice as much is allowed for slower machines.
#: What hangs is ended by the time limit of the test.
LONGEST_S = 5.0

#: Malformed cases that a run of all quick tests makes at least, by the beginning of the channel; requests by HTTP
#: have a test of their own (`tests/serving/test_fuzz.py`).
LEAST = {"Python": 1_500, "CLI": 1_500}
LEAST_REFUSED = 3_000

Result = TypeVar("Result")


class Verdict(StrEnum):
    """How a case ended."""

    REFUSED = "refused"
    PARTLY = "partly"  # some rows refused by name, the others answered
    ANSWERED = "answered"


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

    def too_few(self) -> list[str]:
        """Return a sentence for each figure that is smaller than the suite promises."""
        made = {
            f"malformed inputs of {channel}": (
                sum(counter.total() for name, counter in self.verdicts.items() if name.startswith(channel)),
                least,
            )
            for channel, least in LEAST.items()
        }
        made["refused inputs"] = (self.total(Verdict.REFUSED, Verdict.PARTLY), LEAST_REFUSED)
        return [f"{count} {what}, fewer than {least}" for what, (count, least) in made.items() if count < least]

    def to_json(self) -> dict[str, dict[str, float]]:
        """Return the figures as a worker of pytest-xdist can send them."""
        return {
            channel: {verdict.value: counter[verdict] for verdict in Verdict} | {"slowest": self.slowest[channel]}
            for channel, counter in self.verdicts.items()
        }

    def merge(self, other: dict[str, dict[str, float]]) -> None:
        """Add the figures of another process."""
        for channel, figures in other.items():
            self.slowest[channel] = max(self.slowest[channel], figures["slowest"])
            self.verdicts[channel].update({verdict: int(figures[verdict.value]) for verdict in Verdict})

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
    """Make a call, and note how much processor time it takes; what takes too long gets a second chance.

    The work of another process (`elsewhere`) is timed by the clock, and only noted.
    """
    clock = time.perf_counter if elsewhere else time.process_time
    used = []
    for _ in range(2):
        gc.freeze()  # what other tests have left in the memory is not searched meanwhile
        started = clock()
        try:
            result = call()
        finally:
            used.append(clock() - started)
            gc.unfreeze()
        if elsewhere or used[-1] <= LONGEST_S:
            break
    TALLY.slowest[channel] = max(TALLY.slowest[channel], min(used))
    assert elsewhere or min(used) <= 2 * LONGEST_S, f"took {min(used):.1f} s of processor time"
    return result
