"""What the tests of the screening share."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasicon_ml.model import PropertyModel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def champion() -> PropertyModel:
    """The committed model."""
    return PropertyModel.load(ROOT / "models" / "champion")
