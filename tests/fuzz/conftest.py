"""Settings of the fuzz tests, and the model that they use.

The examples are the same in every run. ``NASICON_ML_FUZZ_EXAMPLES=10`` makes ten times as many, which differ in
every run.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

FACTOR = float(os.environ.get("NASICON_ML_FUZZ_EXAMPLES") or 1)


def fuzz(examples: int) -> settings:
    """Return Hypothesis settings with this number of examples, times the factor of the environment variable."""
    return settings(
        max_examples=max(1, round(examples * FACTOR)),
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module", autouse=True)
def _cached_model() -> Iterator[None]:
    """Load the committed model once per test file, because loading takes most of the time of a command."""
    from nasicon_ml.model import PropertyModel

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PropertyModel, "load", staticmethod(functools.cache(PropertyModel.load)))
        patch.delenv("NASICON_ML_MODEL", raising=False)
        patch.delenv("NASICON_ML_DEBUG", raising=False)
        yield
