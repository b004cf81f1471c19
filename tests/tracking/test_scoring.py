"""The request check in front of a stand-in for MLflow's application: requests passed on, and error responses."""

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
    """Stand-in for MLflow's application, which records the request and gives a fixed response or raises."""

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


def send_request(application, pieces=(TABLE,), headers=JSON, path="/invocations", method="POST", query=b""):
    """Send a body in pieces; return status and body of the response, and the number of pieces that were read."""
    remaining = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, start=1)
    ]
    sent = []

    async def receive():
        return remaining.pop(0) if remaining else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": list(headers), "query_string": query}
    asyncio.run(RequestCheck(application)(scope, receive, send))
    status = sent[0]["status"] if sent else None
    return status, b"".join(message.get("body", b"") for message in sent), len(pieces) - len(remaining)


def test_valid_request_is_passed_on_in_normalized_form():
    application = Application(body=b'{"predictions": []}')
    half = len(TABLE) // 2
    headers = [*JSON, (b"transfer-encoding", b"chunked"), (b"x-other", b"kept")]
    assert send_request(application, (TABLE[:half], TABLE[half:]), headers)[:2] == (200, b'{"predictions": []}')
    assert json.loads(application.received)["dataframe_split"] == {"columns": ["formula"], "data": [["LTP"]]}
    headers_passed_on = dict(application.scope["headers"])
    assert headers_passed_on == {
        b"content-type": b"application/json",
        b"content-length": str(len(application.received)).encode(),
        b"x-other": b"kept",
    }


@pytest.mark.parametrize(("path", "method"), [("/ping", "GET"), ("/invocations", "GET"), ("/other", "POST")])
def test_requests_to_other_endpoints_are_passed_on_unchanged(path, method):
    application = Application(status=404, body=b"as it is")
    assert send_request(application, (b"anything",), (), path, method)[:2] == (404, b"as it is")
    assert application.received == b"anything"


def test_invalid_request_is_not_passed_on():
    application = Application()
    status, body, _ = send_request(application, (b"{",))
    assert (status, application.scope) == (400, None)
    assert json.loads(body)["error_code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"message": "Failed to predict data ' ... '", "reason": "row 1: formula"}, "row 1: formula"),
        ({"message": "MLflow's own"}, "MLflow's own"),
        ({"detail": "FastAPI's own"}, "FastAPI's own"),
    ],
)
def test_stack_trace_is_removed_from_error_response_and_logged(content, message, caplog):
    trace = {"stack_trace": "Traceback (most recent call last): secret", "sqlstate": "KAM00"}
    status, body, _ = send_request(Application(400, json.dumps(content | trace).encode()))
    assert (status, json.loads(body)) == (400, {"error_code": "BAD_REQUEST", "message": message})
    assert "secret" in caplog.text


def test_plain_text_error_response_is_converted_to_json():
    status, body, _ = send_request(Application(504, b"Request processing time exceeded limit"))
    expected = {"error_code": "INTERNAL_ERROR", "message": "Request processing time exceeded limit"}
    assert (status, json.loads(body)) == (504, expected)


def test_exception_of_application_is_logged_and_not_shown(caplog):
    status, body, _ = send_request(Application(error=ZeroDivisionError("deep inside")))
    assert (status, json.loads(body)["message"]) == (500, scoring._FAILURE_MESSAGE)
    assert "deep inside" in caplog.text


def test_too_large_body_is_read_completely_and_refused():
    application = Application()
    pieces = (b"x" * (1 << 20),) * 20
    status, body, n_read = send_request(application, pieces)
    assert (status, n_read, application.scope) == (413, 20, None)
    assert str(MAX_BYTES) in json.loads(body)["message"]


def test_number_of_discarded_bytes_is_limited(monkeypatch):
    monkeypatch.setattr(scoring, "_MAX_DISCARDED_BYTES", 10 << 20)
    assert send_request(Application(), (b"x" * (1 << 20),) * 20)[::2] == (413, 11)


def test_too_large_request_with_expect_header_is_refused_without_reading():
    headers = [*JSON, (b"content-length", str(MAX_BYTES + 1).encode()), (b"expect", b"100-continue")]
    assert send_request(Application(), (b"x",), headers)[::2] == (413, 0)


def test_disconnected_client_gets_no_response():
    assert send_request(Application(), ())[0] is None


def test_number_of_concurrent_requests_is_limited(monkeypatch):
    monkeypatch.setattr(scoring, "_MAX_CONCURRENT", 2)
    active, max_active = 0, 0

    async def slow(scope, receive, send):
        nonlocal active, max_active
        active += 1
        max_active = max(max_active, active)
        await asyncio.sleep(0.01)
        active -= 1

    async def send_all():
        check = RequestCheck(slow)
        scope = {"type": "http", "path": "/invocations", "method": "POST", "headers": list(JSON)}

        async def receive():
            return {"type": "http.request", "body": TABLE}

        async def send(message):
            raise AssertionError(message)

        await asyncio.gather(*(check(scope, receive, send) for _ in range(7)))

    asyncio.run(send_all())
    assert max_active == 2


@pytest.fixture
def server_module(monkeypatch):
    """MLflow's server module during its import, while it loads the model and has no application yet."""
    module = types.ModuleType(scoring._SERVER_MODULE)
    monkeypatch.setitem(sys.modules, scoring._SERVER_MODULE, module)
    return module


def test_request_check_is_installed_while_the_server_is_imported(server_module):
    assert install_request_check()
    replacement = sys.modules[scoring._SERVER_MODULE]  # what an import statement returns
    assert not hasattr(replacement, "app")
    server_module.app = Application()  # as at the end of the module
    assert isinstance(replacement.app, RequestCheck)
    assert replacement.app is replacement.app
    assert replacement.app.app is server_module.app


def test_import_returns_the_module_that_replaces_the_server(tmp_path, monkeypatch):
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
    imported = importlib.import_module("server_of_a_test")
    monkeypatch.delitem(sys.modules, "server_of_a_test")
    assert isinstance(imported.app, RequestCheck)
    assert imported.app.app == Application.__name__


def test_request_check_is_not_installed_after_the_server_was_imported(server_module):
    server_module.app = Application()
    assert not install_request_check()
    assert sys.modules[scoring._SERVER_MODULE] is server_module


def test_request_check_is_not_installed_without_a_server():
    assert scoring._SERVER_MODULE not in sys.modules
    assert not install_request_check()


@pytest.mark.parametrize("path", ["/invocations", "/ping", "/version"])
def test_request_with_content_length_and_transfer_encoding_is_refused(path):
    """A proxy and this server could disagree about where the request ends (request smuggling)."""
    headers = (*JSON, (b"content-length", b"5"), (b"transfer-encoding", b"chunked"))
    application = Application()
    status, body, _ = send_request(application, headers=headers, path=path)
    assert (status, application.scope) == (400, None)
    assert json.loads(body)["message"] == "a request has Content-Length or Transfer-Encoding, not both"
