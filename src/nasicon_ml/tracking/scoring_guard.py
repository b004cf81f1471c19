"""Stands before MLflow's scoring server: limits, strict reading, and answers that hold no stack trace.

The server gives a model no say in how a request is read. But it makes an ASGI application right after the model is
loaded, as the attribute ``app`` of a module with nothing else in it, from where uvicorn takes it; and such an
application takes middleware until it starts. So a model that is being loaded by that module, in the process of
``mlflow models serve``, sees to it that the application has this middleware when it is taken. No file and no
function of MLflow is changed. Loaded in any other way, a model changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from types import ModuleType
from typing import Any

from nasicon_ml.tracking.scoring_requests import JSON, MAX_BYTES, RefusedRequest, read_request, too_large

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

#: The key under which `pyfunc_model` gives its own words, which MLflow puts behind a print of the whole table.
REASON = "reason"

_SERVER = "mlflow.pyfunc.scoring_server.app"
_PATH = "/invocations"
#: So many requests are worked on at a time, and the others wait: what bounds the memory.
_AT_ONCE = 4
#: Of a body that is too large, so much is read and thrown away: a client that is still sending would not hear why.
_THROWN_AWAY = 32 * MAX_BYTES
_FAILED = "the server could not answer this request; its log says why"
_log = logging.getLogger(__name__)


def guard_scoring_server() -> bool:
    """Add the guard to MLflow's scoring server, if that is what loads the model; say whether."""
    module = sys.modules.get(_SERVER)
    if module is None or hasattr(module, "app"):
        return False
    module.__class__ = _ServerModule
    return True


class _ServerModule(ModuleType):
    """MLflow's module until somebody takes the application out of it."""

    @property
    def app(self) -> Any:
        """The application, with the guard before it."""
        if "app" not in self.__dict__:
            raise AttributeError("the application is not made yet")
        application = self.__dict__["app"]
        application.add_middleware(Guard)
        self.__class__ = ModuleType  # type: ignore[assignment]  # an ordinary module again
        return application


class Guard:
    """The middleware: passes on what `read_request` accepts, and says no to the rest."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.slots = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection's request, as ASGI has it."""
        if scope["type"] != "http" or scope["path"] != _PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        answer = _CleanAnswer(send)
        try:
            body = await _body(scope, receive)
            if body is not None:
                await self._answer(scope, body, receive, answer)
        except RefusedRequest as refused:
            await answer.refuse(refused.status, refused.message)
        except Exception:  # noqa: BLE001  (no answer of a server may be a stack trace)
            _log.exception("a request failed")
            await answer.refuse(500, _FAILED)

    async def _answer(self, scope: Message, body: bytes, receive: Receive, answer: _CleanAnswer) -> None:
        async with self.slots:
            query = scope.get("query_string", b"").decode("latin-1")
            passed_on = await asyncio.to_thread(read_request, body, _header(scope, b"content-type"), query)
            await self.app(_with_body(scope, passed_on), _replayed(passed_on, receive), answer)


class _CleanAnswer:
    """Sends an answer on; that to a failed request without the stack trace and the print of the table."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.status = 0
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        if self.status < 400:
            await self.send(message)
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_cleaned()

    async def _send_cleaned(self) -> None:
        try:
            said = json.loads(self.body)
            trace = said.get("stack_trace")
            reason = said.get(REASON) or said.get("message") or said["detail"]
        except (ValueError, AttributeError, KeyError):
            trace, reason = None, self.body.decode("utf-8", "replace")
        if trace:
            _log.error("a request was answered with status %d:\n%s", self.status, trace)
        await self._send_error(self.status, str(reason))

    async def refuse(self, status: int, message: str) -> None:
        """Say no, unless an answer is on its way already."""
        if not 0 < self.status < 400:
            await self._send_error(status, message)

    async def _send_error(self, status: int, message: str) -> None:
        code = "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST"
        body = json.dumps({"error_code": code, "message": message}).encode()
        headers = [(b"content-type", JSON.encode()), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def _body(scope: Message, receive: Receive) -> bytes | None:
    """Read the body as far as the limit; None if the client went away."""
    declared = _header(scope, b"content-length") or "0"
    if declared.isdecimal() and int(declared) > MAX_BYTES and _header(scope, b"expect"):
        raise too_large()  # the client asks before it sends
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        piece = message.get("body", b"")
        size += len(piece)
        if size <= MAX_BYTES:
            pieces.append(piece)
        else:
            pieces.clear()
        if size > _THROWN_AWAY or (size > MAX_BYTES and not message.get("more_body", False)):
            raise too_large()
        if not message.get("more_body", False):
            return b"".join(pieces)


def _header(scope: Message, name: bytes) -> str | None:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), None)


def _with_body(scope: Message, body: bytes) -> Message:
    """Give the request's description, with what belongs to the new body."""
    replaced = {b"content-type": JSON.encode(), b"content-length": str(len(body)).encode()}
    kept = [
        (key, value) for key, value in scope["headers"] if key.lower() not in {*replaced, b"transfer-encoding"}
    ]
    return {**scope, "headers": [*kept, *replaced.items()]}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Give the new body first, and then what the client does."""
    waiting = [body]

    async def receive_next() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receive_next
