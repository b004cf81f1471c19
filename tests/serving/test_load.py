"""Concurrent clients of the real server: a short version of `python -m benchmarks.serving`."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.serving import TOLERANCE, described, make_requests, measure, page

from nasicon_ml.columns import MODEL_INPUT
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe import read_batch
from tests.serving.server import CHAMPION, Served, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(bundle: Path) -> PropertyModel:
    return PropertyModel.load(bundle)


def test_concurrent_predictions_are_correct_and_memory_is_stable(served: Served, model: PropertyModel) -> None:
    requests = make_requests(model.pellets, 60, 30)
    assert {request.form for request in requests} == {"records", "split", "csv"}
    result = measure(served, model, requests, clients=4)
    assert (result["requests"], result["errors"], result["compared"]) == (60, 0, 3)
    assert result["largest_difference"] < TOLERANCE
    # The first requests fill caches, so some growth is allowed; leaking a table per request would exceed it.
    assert result["memory_growth"] < 0.2
    assert 0 < result["latency_s"]["p50"] <= result["latency_s"]["p99"]
    text = page(described() | {"load": result, "alone_s": result["latency_s"], "two_workers": result})
    assert "**0 errors**" in text
    assert "With `--workers 2`: 0 errors" in text


def test_two_workers_reject_invalid_requests(store: str) -> None:
    with serving(CHAMPION, store, workers=2) as served:
        answers = [
            served.invoke({"dataframe_records": [{"formula": "LTP", "sintering_time_h": -2}]}) for _ in range(6)
        ]
        assert {answer.status for answer in answers} == {400}
        assert {answer.json()["message"].partition(":")[0] for answer in answers} == {"row 1"}
        assert served.invoke({"dataframe_records": [{"formula": "LTP"}]}).status == 200


def test_make_requests_returns_valid_recipes_deterministically(model: PropertyModel) -> None:
    requests = make_requests(model.pellets, 9, 40)
    for request, repeated in zip(requests, make_requests(model.pellets, 9, 40), strict=True):
        assert request.body == repeated.body
        assert list(request.table.columns) == [column.value for column in MODEL_INPUT]
        assert read_batch(request.table).findings == []
        assert 1 <= len(request.table) <= 40


def test_measure_raises_if_predictions_differ(served: Served, model: PropertyModel) -> None:
    """Each table is reversed relative to the request that was sent."""
    sent = make_requests(model.pellets, 8, 5)
    swapped = [
        type(request)(request.table.iloc[::-1], request.body, request.content_type, request.form)
        for request in sent
    ]
    with pytest.raises(RuntimeError, match=r"an answer differs|status"):
        measure(served, model, swapped, clients=2)
