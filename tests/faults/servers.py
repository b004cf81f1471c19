"""Faulty tracking servers on a free port of this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.programs import free_port

#: Kinds of faults; with "later" the first request is answered correctly.
KINDS = ("down", "silent", "slow", "error", "page", "not found", "later silent", "later error", "later down")
SLOW_RESPONSE_S = 30
_FIRST_REQUEST = "/experiments/search"
_EXPERIMENT = {
    "experiment_id": "0",
    "name": "Default",
    "artifact_location": "/nowhere",
    "lifecycle_stage": "active",
}


class _BadHandler(BaseHTTPRequestHandler):
    """Answers with the fault of its server's kind."""

    def do_GET(self) -> None:
        self._read_body()
        kind = self.server.kind  # type: ignore[attr-defined]
        if kind.startswith("later"):
            if _FIRST_REQUEST in self.path:
                self._respond(200, json.dumps({"experiments": [_EXPERIMENT]}), "application/json")
                return
            kind = kind.removeprefix("later ")
        if kind in {"silent", "slow"}:
            self.server.ended.wait(SLOW_RESPONSE_S if kind == "slow" else None)  # type: ignore[attr-defined]
        if kind == "error":
            self._respond(
                500, json.dumps({"error_code": "INTERNAL_ERROR", "message": "a fault"}), "application/json"
            )
        elif kind == "page":
            self._respond(200, "<html><body>Welcome</body></html>", "text/html")
        elif kind == "not found":
            self._respond(404, "<html><body>Not here</body></html>", "text/html")
        elif kind == "slow":
            self._respond(200, json.dumps({"experiments": [_EXPERIMENT]}), "application/json")
        self.close_connection = True

    do_POST = do_PATCH = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _read_body(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _respond(self, status: int, content: str, kind: str) -> None:
        body = content.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """Ignore clients that have closed the connection."""


@contextmanager
def bad_server(kind: str) -> Iterator[str]:
    """Run a server with this kind of fault and yield its address."""
    if kind == "down":
        yield f"http://127.0.0.1:{free_port()}"
        return
    server = _Server(("127.0.0.1", 0), _BadHandler)
    server.kind, server.ended = kind, threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join(10)
