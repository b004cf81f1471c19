"""The number of usable processors, which is the default number of threads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nasicon_ml import processors
from nasicon_ml.screening.engine import Effort


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"),
    [(4, None, 4), (1, None, 1), (4, "max 100000", 4), (4, "100000 100000", 1), (4, "250000 100000", 3),
     (2, "800000 100000", 2), (4, "10000 100000", 1), (4, "nonsense", 4)],
)  # fmt: skip
def test_usable_processors_is_limited_by_affinity_and_cgroup_quota(
    affinity: int, quota: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n", encoding="ascii")
    monkeypatch.setattr(processors, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    assert processors.usable_processors() == expected
    assert Effort().threads == min(8, expected)


def test_usable_processors_without_affinity_is_the_cpu_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert processors.usable_processors() == 3
