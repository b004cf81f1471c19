"""As many threads as there are processors to use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nasicon_ml import processors
from nasicon_ml.screening.engine import Effort


@pytest.mark.parametrize(
    ("bound", "quota", "count"),
    [(4, None, 4), (1, None, 1), (4, "max 100000", 4), (4, "100000 100000", 1), (4, "250000 100000", 3),
     (2, "800000 100000", 2), (4, "10000 100000", 1), (4, "nonsense", 4)],
)  # fmt: skip
def test_bound_and_quota_count(
    bound: int, quota: str | None, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n", encoding="ascii")
    monkeypatch.setattr(processors, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(bound)), raising=False)
    assert processors.usable_processors() == count
    assert Effort().threads == min(8, count)


def test_where_nothing_is_bound_all_processors_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert processors.usable_processors() == 3
