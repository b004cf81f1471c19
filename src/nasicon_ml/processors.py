"""The number of processors that this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

#: The quota of the container: microseconds of processor time per period in microseconds; "max" for no limit.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_processors() -> int:
    """Return the number of processors that this process is bound to, at most the quota of its container."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not available on this system
        count = os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return max(1, min(count, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or no limit
        return count
