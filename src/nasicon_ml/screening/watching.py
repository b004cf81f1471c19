"""Who follows a screening: how far it is, how long it will take, and whether to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a screening is.

    Attributes
    ----------
    done, size
        Positions of the space.
    seconds
        Since the beginning, earlier parts of a resumed screening included.
    per_second
        Positions a second of this part.
    remaining_s
        Seconds that the rest takes at this rate.
    best
        The best objective so far; NaN while there is none.
    """

    done: int
    size: int
    seconds: float
    per_second: float
    remaining_s: float
    best: float


def _never() -> bool:
    return False


def _nothing(_: Progress) -> None:
    return


@dataclass(frozen=True)
class Watch:
    """Who follows a screening.

    Attributes
    ----------
    progress
        Told how far it is, after each chunk.
    stop
        Asked several times a second whether to stop; the result then is that of the chunks done.
    """

    progress: Callable[[Progress], None] = _nothing
    stop: Callable[[], bool] = _never
