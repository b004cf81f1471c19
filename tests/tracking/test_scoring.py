"""Requests before an application that stands for MLflow's: what is passed on, and what is said instead."""

import asyncio
import importlib
import json
import sys
import textwrap
import types

import pytest

from nasicon_ml.tracking import scoring
from nasicon_ml.tracking.scoring import MAX_BYTES, RequestCheck, install_request_check

TABLE = json.dumps({"dataframe_records": [{"formula": "LTP"}]}).encode()
JSON = ((b"content-type", b"application/json"),)


class Application:
    """Takes down what it is given, and answers as it is told."""

    def __init__(self, status=200, body=b"{}", error=None):
        self.status, self.body, self.error = status, body, error
        self.scope, self.received = None, b""

    async def __call__(self, scope, receive, send):
        self.scope = scope
        if self.error:
            raise self.error
        message = await receive()
        self.received = message["body"]
        assert not message["more_body"]
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        middle = len(self.body) // 2
        await send({"type": "http.response.body", "body": self.body[:middle], "more_body": True})
        await send({"type": "http.response.body", "body": self.body[middle:]})


def ask(application, pieces=(TABLE,), headers=JSON, path="/invocations", method="POST", query=b""):
    """Send the pieces of a body; give status, body, and how many pieces were taken."""
    waiting = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, start=1)
    ]
    sent = []

    async def receive():
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": list(headers), "query_string": query}
    asyncio.run(RequestCheck(application)(scope, receive, send))
    status = sent[0]["status"] if sent else None
    return status, b"".join(message.get("body", b"") for message in sent), len(pieces) - len(waiting)


def test_a_good_request_is_passed_on_in_one_form():
    application = Application(body=b'{"predictions": []}')
    half = len(TABLE) // 2
    headers = [*JSON, (b"transfer-encoding", b"chunked"), (b"x-other", b"kept")]
    assert ask(application, (TABLE[:half], TABLE[half:]), headers)[:2] == (200, b'{"predictions": []}')
    assert json.loads(application.received)["dataframe_split"] == {"columns": ["formula"], "data": [["LTP"]]}
    passed_on = dict(application.scope["headers"])
    assert passed_on == {
        b"content-type": b"application/json",
        b"content-length": str(len(application.received)).encode(),
        b"x-other": b"kept",
    }


@pytest.mark.parametrize(("path", "method"), [("/ping", "GET"), ("/invocations", "GET"), ("/other", "POST")])
def test_other_requests_are_left_alone(path, method):
    application = Application(status=404, body=b"as it is")
    assert ask(application, (b"anything",), (), path, method)[:2] == (404, b"as it is")
    assert application.received == b"anything"


def test_a_bad_request_is_not_passed_on():
    application = Application()
    status, body, _ = ask(application, (b"{",))
    assert (status, application.scope) == (400, None)
    assert json.loads(body)["error_code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"message": "Failed to predict data ' ... '", "reason": "row 1: formula"}, "row 1: formula"),
        ({"message": "MLflow's own"}, "MLflow's own"),
        ({"detail": "FastAPI's own"}, "FastAPI's own"),
    ],
)
def test_an_answer_to_a_failure_is_cleaned(said, reason, caplog):
    trace = {"stack_trace": "Traceback (most recent call last): secret", "sqlstate": "KAM00"}
    status, body, _ = ask(Application(400, json.dumps(said | trace).encode()))
    assert (status, json.loads(body)) == (400, {"error_code": "BAD_REQUEST", "message": reason})
    assert "secret" in caplog.text


def test_what_is_no_json_is_put_into_it():
    status, body, _ = ask(Application(504, b"Request processing time exceeded limit"))
    said = {"error_code": "INTERNAL_ERROR", "message": "Request processing time exceeded limit"}
    assert (status, json.loads(body)) == (504, said)


def test_a_failure_of_the_server_shows_nothing_of_it(caplog):
    status, body, _ = ask(Application(error=ZeroDivisionError("deep inside")))
    assert (status, json.loads(body)["message"]) == (500, scoring._FAILURE_MESSAGE)
    assert "deep inside" in caplog.text


def test_a_body_that_is_too_large_is_read_to_its_end_but_not_kept():
    application = Application()
    pieces = (b"x" * (1 << 20),) * 20
    status, body, taken = ask(application, pieces)
    assert (status, taken, application.scope) == (413, 20, None)
    assert str(MAX_BYTES) in json.loads(body)["message"]


def test_reading_ends_somewhere(monkeypatch):
    monkeypatch.setattr(scoring, "_MAX_DISCARDED_BYTES", 10 << 20)
    assert ask(Application(), (b"x" * (1 << 20),) * 20)[::2] == (413, 11)


def test_a_client_that_asks_first_is_told_at_once():
    headers = [*JSON, (b"content-length", str(MAX_BYTES + 1).encode()), (b"expect", b"100-continue")]
    assert ask(Application(), (b"x",), headers)[::2] == (413, 0)


def test_a_client_that_goes_away_is_not_answered():
    assert ask(Application(), ())[0] is None


def test_so_many_requests_are_worked_on_at_a_time(monkeypatch):
    monkeypatch.setattr(scoring, "_MAX_CONCURRENT", 2)
    working, most = 0, 0

    async def slow(scope, receive, send):
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.01)
        working -= 1

    async def all_of_them():
        check = RequestCheck(slow)
        scope = {"type": "http", "path": "/invocations", "method": "POST", "headers": list(JSON)}

        async def receive():
            return {"type": "http.request", "body": TABLE}

        async def send(message):
            raise AssertionError(message)

        await asyncio.gather(*(check(scope, receive, send) for _ in range(7)))

    asyncio.run(all_of_them())
    assert most == 2


@pytest.fixture
def server_module(monkeypatch):
    """MLflow's module while it loads the model: there, and without its application."""
    module = types.ModuleType(scoring._SERVER_MODULE)
    monkeypatch.setitem(sys.modules, scoring._SERVER_MODULE, module)
    return module


def test_the_server_that_loads_the_model_gets_the_check(server_module):
    assert install_request_check()
    taken = sys.modules[scoring._SERVER_MODULE]  # what Python imports
    assert not hasattr(taken, "app")
    server_module.app = Application()  # as a statement of the module does it
    assert isinstance(taken.app, RequestCheck)
    assert taken.app is taken.app
    assert taken.app.app is server_module.app


def test_python_imports_what_takes_the_place_of_a_module(tmp_path, monkeypatch):
    text = f"""
        import sys
        from nasicon_ml.tracking import scoring
        scoring._SERVER_MODULE = __name__
        assert scoring.install_request_check()
        app = {Application.__name__!r}
    """
    (tmp_path / "server_of_a_test.py").write_text(textwrap.dedent(text), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(scoring, "_SERVER_MODULE", scoring._SERVER_MODULE)
    taken = importlib.import_module("server_of_a_test")
    monkeypatch.delitem(sys.modules, "server_of_a_test")
    assert isinstance(taken.app, RequestCheck)
    assert taken.app.app == Application.__name__


def test_a_server_that_is_up_gets_none(server_module):
    server_module.app = Application()
    assert not install_request_check()
    assert sys.modules[scoring._SERVER_MODULE] is server_module


def test_without_a_server_nothing_happens():
    assert scoring._SERVER_MODULE not in sys.modules
    assert not install_request_check()


@pytest.mark.parametrize("path", ["/invocations", "/ping", "/version"])
def test_a_request_of_two_lengths_is_refused(path):
    """Two servers on its way could disagree about where it ends."""
    headers = (*JSON, (b"content-length", b"5"), (b"transfer-encoding", b"chunked"))
    application = Application()
    status, body, _ = ask(application, headers=headers, path=path)
    assert (status, application.scope) == (400, None)
    assert json.loads(body)["message"] == "a request has Content-Length or Transfer-Encoding, not both"
