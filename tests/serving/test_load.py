"""Several clients at once, against the real server: the short form of `python -m benchmarks.serving`."""

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


def test_four_clients_get_right_answers_and_the_memory_stays(served: Served, model: PropertyModel) -> None:
    requests = make_requests(model.pellets, 60, 30)
    assert {request.form for request in requests} == {"records", "split", "csv"}
    found = measure(served, model, requests, clients=4)
    assert (found["requests"], found["errors"], found["compared"]) == (60, 0, 3)
    assert found["largest_difference"] < TOLERANCE
    # So few requests may still warm the server up; what leaked a table with each of them would show.
    assert found["memory_growth"] < 0.2
    assert 0 < found["latency_s"]["p50"] <= found["latency_s"]["p99"]
    text = page(described() | {"load": found, "alone_s": found["latency_s"], "two_workers": found})
    assert "**0 errors**" in text
    assert "With `--workers 2`: 0 errors" in text


def test_two_workers_read_requests_as_strictly(store: str) -> None:
    with serving(CHAMPION, store, workers=2) as served:
        answers = [
            served.invoke({"dataframe_records": [{"formula": "LTP", "sintering_time_h": -2}]}) for _ in range(6)
        ]
        assert {answer.status for answer in answers} == {400}
        assert {answer.json()["message"].partition(":")[0] for answer in answers} == {"row 1"}
        assert served.invoke({"dataframe_records": [{"formula": "LTP"}]}).status == 200


def test_the_requests_are_good_recipes_and_always_the_same(model: PropertyModel) -> None:
    requests = make_requests(model.pellets, 9, 40)
    for request, again in zip(requests, make_requests(model.pellets, 9, 40), strict=True):
        assert request.body == again.body
        assert list(request.table.columns) == [column.value for column in MODEL_INPUT]
        assert read_batch(request.table).findings == []
        assert 1 <= len(request.table) <= 40


def test_a_wrong_answer_is_seen(served: Served, model: PropertyModel) -> None:
    """The comparison is one: with other recipes than those that were sent, it fails."""
    sent = make_requests(model.pellets, 8, 5)
    swapped = [type(one)(one.table.iloc[::-1], one.body, one.content_type, one.form) for one in sent]
    with pytest.raises(RuntimeError, match=r"an answer differs|status"):
        measure(served, model, swapped, clients=2)
