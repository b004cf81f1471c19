"""Fixtures of the screening tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasicon_ml.model import PropertyModel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def champion() -> PropertyModel:
    """Return the committed model."""
    return PropertyModel.load(ROOT / "models" / "champion")
