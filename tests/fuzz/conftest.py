"""The settings of the fuzz tests, and the model they ask.

The cases are the same in every run. ``NASICON_ML_FUZZ_EXAMPLES=10`` makes ten times as many, other ones in every
run.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

FACTOR = float(os.environ.get("NASICON_ML_FUZZ_EXAMPLES") or 1)


def fuzz(examples: int) -> settings:
    """Give the settings of a fuzz test that makes so many cases in CI."""
    return settings(
        max_examples=max(1, round(examples * FACTOR)),
        deadline=None,
        derandomize=FACTOR == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(scope="module", autouse=True)
def _model_read_once() -> Iterator[None]:
    """Read the committed model once a file; what reads it anew for every command is tested elsewhere."""
    from nasicon_ml.model import PropertyModel

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PropertyModel, "load", staticmethod(functools.cache(PropertyModel.load)))
        patch.delenv("NASICON_ML_MODEL", raising=False)
        patch.delenv("NASICON_ML_DEBUG", raising=False)
        yield
