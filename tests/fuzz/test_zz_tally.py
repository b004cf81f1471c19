"""The suite is as large as it says: counted, in a run of all of it. The name makes it the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.tally import TALLY, Verdict

#: Malformed cases that have to be made, by the beginning of the channel's name; requests by HTTP have a test of
#: their own (`tests/serving/test_fuzz.py`), and the slow tests are not needed for these figures.
LEAST = {"Python": 1_500, "CLI": 1_500}
LEAST_REFUSED = 3_000


def test_thousands_of_cases_were_made(request: pytest.FixtureRequest) -> None:
    here = Path(__file__).parent
    collected = {Path(item.path).name for item in request.session.items if Path(item.path).parent == here}
    fast = {path.name for path in here.glob("test_*.py")} - {"test_million.py", "test_process.py"}
    if not fast <= collected or request.config.getoption("keyword"):
        pytest.skip("only a part of the suite was run")
    for channel, least in LEAST.items():
        made = sum(counter.total() for name, counter in TALLY.verdicts.items() if name.startswith(channel))
        assert made >= least, channel
    assert TALLY.total(Verdict.REFUSED, Verdict.PARTLY) >= LEAST_REFUSED
