"""Check requests to MLflow's scoring server: strict parsing, size limits, and errors without stack traces.

MLflow's server ignores misspelled parameters and repeated keys, answers a malformed CSV with a stack trace and
deeply nested JSON with status 500, and does not let a model change how requests are parsed. However, MLflow loads
the model while Python imports the server module from which uvicorn takes the application, and a module may replace
itself in ``sys.modules`` during its import. `install_request_check` puts `CheckedServer` there, which wraps the
application in an ASGI middleware. MLflow's code is not changed, and a model that is loaded without the server has
no such effect.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from functools import cached_property
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl

from nasicon_ml.columns import Column, is_missing, to_number
from nasicon_ml.errors import FieldError, NasiconError, nearest
from nasicon_ml.io.csv import read_csv
from nasicon_ml.io.raw import decode
from nasicon_ml.io.structured import RepeatedKeyError, load_json
from nasicon_ml.recipe.rules import unknown_columns_error
from nasicon_ml.tracking.signature import LEVEL, TEMPERATURE

#: Largest request in bytes and recipes. 10,000 complete recipes are 6 MB of JSON and are answered well within
#: MLflow's timeout of one minute.
MAX_BYTES, MAX_ROWS = 8 * 1024 * 1024, 10_000
JSON, CSV = "application/json", "text/csv"

_RECORDS, _SPLIT, _INPUTS, _INSTANCES = "dataframe_records", "dataframe_split", "inputs", "instances"
_TABLES, _PARAMS = (_RECORDS, _SPLIT, _INPUTS, _INSTANCES), "params"
_SPLIT_PARTS = ("columns", "data", "index")
_REQUEST_NAME = "request"
_MAX_QUOTED = 60
#: Most opening brackets in a request: one list or object per recipe, and those in formulas.
_MAX_BRACKETS = 10 * MAX_ROWS
#: Most characters of an integer that is certain to fit into 64 bits.
_MAX_INTEGER_DIGITS = 18

Rows = tuple[list[str], list[list[Any]]]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

#: Key of an error's own message in MLflow's response; MLflow's message also contains the whole table.
REASON_KEY = "reason"

_SERVER_MODULE = "mlflow.pyfunc.scoring_server.app"
_INVOCATIONS_PATH = "/invocations"
#: Number of requests handled at a time, which limits the memory; the others wait.
_MAX_CONCURRENT = 4
#: Most bytes of a too large body that are read and discarded: a client reads the response only after sending.
_MAX_DISCARDED_BYTES = 32 * MAX_BYTES
_FAILURE_MESSAGE = "the server could not answer this request; its log says why"
_log = logging.getLogger(__name__)


class RefusedRequest(Exception):  # noqa: N818  (the client is at fault, not the server)
    """Refusal of a request, with the HTTP status of the response."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.message, self.status = message, status
        super().__init__(message)


def read_request(body: bytes, content_type: str | None, query: str = "") -> bytes:
    """Check a request and convert it to the JSON that is passed on to MLflow.

    Parameters
    ----------
    body
        JSON with one of ``dataframe_records``, ``dataframe_split``, ``inputs``, ``instances``, and optionally
        ``params``; or CSV.
    content_type
        Value of the header Content-Type.
    query
        Query string of the URL, which may contain the parameters.

    Returns
    -------
    bytes
        JSON with ``dataframe_split`` and ``params``. Cells are unchanged, since the model checks them.

    Raises
    ------
    RefusedRequest
        If the request cannot be parsed, is too large, or has an unknown column or parameter.
    """
    kind = _media_type(content_type)
    if len(body) > MAX_BYTES:
        raise _too_large()
    if not body.strip():
        raise RefusedRequest("the request is empty; send a table of recipes as JSON or CSV")
    try:
        (columns, rows), params = (_read_csv_table(body), {}) if kind == CSV else _read_json_table(body)
        params = read_params([*parse_qsl(query, keep_blank_values=True), *params.items()])
    except NasiconError as error:
        raise RefusedRequest(str(error)) from None
    if not rows:
        raise RefusedRequest("the table holds no recipe")
    if len(rows) > MAX_ROWS:
        raise RefusedRequest(
            f"{len(rows)} recipes are more than the {MAX_ROWS} of one request; send them in several", 413
        )
    return json.dumps({_SPLIT: {"columns": columns, "data": rows}, _PARAMS: params}).encode()


def _too_large() -> RefusedRequest:
    return RefusedRequest(
        f"the request is larger than {MAX_BYTES} bytes (about {MAX_ROWS} recipes); send several", 413
    )


def _media_type(content_type: str | None) -> str:
    """Return the media type of a request, JSON or CSV."""
    kind, *settings = [part.strip() for part in (content_type or "").lower().split(";")]
    if kind not in {JSON, CSV}:
        given = f"{kind!r}" if kind else "none"
        raise RefusedRequest(f"Content-Type: {given} is not accepted; allowed: {JSON}, {CSV}", 415)
    for setting in settings:
        name, _, value = setting.partition("=")
        if setting and (name.strip() != "charset" or value.strip(" \"'") not in {"utf-8", "utf8"}):
            raise RefusedRequest(f"Content-Type: {setting!r} is not accepted; allowed: charset=utf-8", 415)
    return kind


def _read_csv_table(body: bytes) -> Rows:
    # Lines are counted before parsing, which pads short rows to the width of the header and could fill the memory.
    if max(body.count(b"\n"), body.count(b"\r")) > 2 * MAX_ROWS:
        raise RefusedRequest(f"more lines than the {MAX_ROWS} recipes of one request need; send several", 413)
    frame = read_csv(body, _REQUEST_NAME).frame
    columns = [str(name) for name in frame.columns]
    _check_names(columns)
    return columns, frame.to_numpy().tolist()


def _read_json_table(body: bytes) -> tuple[Rows, Mapping[str, Any]]:
    # Brackets are counted before parsing, since a small list or object takes a hundred times its size in memory.
    if body.count(b"[") + body.count(b"{") > _MAX_BRACKETS:
        raise RefusedRequest(f"more lists and objects than {MAX_ROWS} recipes need; send several requests", 413)
    content = _load_json(decode(body, _REQUEST_NAME))
    if not isinstance(content, dict):
        raise RefusedRequest(f"the JSON is {_json_type(content)}; needed: an object with {_RECORDS} or {_SPLIT}")
    for key in content:
        if key not in {*_TABLES, _PARAMS}:
            hint = nearest(key[:_MAX_QUOTED], (*_TABLES, _PARAMS))
            raise RefusedRequest(
                f"{_quote(key)} is not accepted; allowed: {_RECORDS}, {_SPLIT}, {_PARAMS}. {hint}".strip()
            )
    forms = [key for key in _TABLES if key in content]
    if len(forms) != 1:
        raise RefusedRequest(f"needed: exactly one of {', '.join(_TABLES)}; given: {', '.join(forms) or 'none'}")
    params = content.get(_PARAMS)
    if not isinstance(params, dict | None):
        raise RefusedRequest(f"{_PARAMS} is {_json_type(params)}; needed: an object with {LEVEL} or {TEMPERATURE}")
    return _read_rows(forms[0], content[forms[0]]), params or {}


def _load_json(text: str) -> Any:
    try:
        return load_json(text, parse_int=_parse_integer)
    except RepeatedKeyError as error:
        raise RefusedRequest(f"{_quote(error.key)} is given twice in one object") from None
    except json.JSONDecodeError as error:
        raise RefusedRequest(f"line {error.lineno}, column {error.colno}: not valid JSON ({error.msg})") from None
    except ValueError:
        raise RefusedRequest("the JSON is no table: it is nested too deeply") from None


def _parse_integer(digits: str) -> float:
    """Return an integer, or a float if it may not fit into 64 bits; its column refuses too large values."""
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else float(digits)


def _read_rows(form: str, table: Any) -> Rows:
    """Return the columns and rows of a table in one of MLflow's forms."""
    if form == _SPLIT:
        return _read_split(table)
    if form == _INPUTS and isinstance(table, dict):
        return _read_columns(table)
    return _read_records(form, table)


def _read_split(table: Any) -> Rows:
    if not isinstance(table, dict) or not {"columns", "data"} <= set(table) or set(table) - set(_SPLIT_PARTS):
        raise RefusedRequest(f"{_SPLIT} is to be an object with columns and data, and perhaps index")
    columns, data = table["columns"], table["data"]
    if not isinstance(columns, list) or not isinstance(data, list):
        raise RefusedRequest(f"{_SPLIT}: columns and data are to be lists")
    _check_names(columns)
    for number, row in enumerate(data, start=1):
        if not isinstance(row, list):
            raise RefusedRequest(f"{_SPLIT}, row {number}: {_json_type(row)} where a list of cells is needed")
        if len(row) != len(columns):
            raise RefusedRequest(f"{_SPLIT}, row {number}: {len(row)} cells, but there are {len(columns)} columns")
    return columns, data


def _read_records(form: str, table: Any) -> Rows:
    if not isinstance(table, list):
        raise RefusedRequest(f"{form} is {_json_type(table)}; needed: a list of objects, one a recipe")
    names: dict[str, None] = {}
    for number, row in enumerate(table, start=1):
        if not isinstance(row, dict):
            raise RefusedRequest(
                f"{form}, row {number}: {_json_type(row)} where an object is needed, one a recipe"
            )
        names |= dict.fromkeys(row)
    columns = list(names)
    _check_names(columns)
    return columns, [[row.get(name) for name in columns] for row in table]


def _read_columns(table: dict[str, Any]) -> Rows:
    _check_names(list(table))
    for name, cells in table.items():
        if not isinstance(cells, list):
            raise RefusedRequest(f"{_INPUTS}: {_quote(name)} holds {_json_type(cells)}; needed: a list of cells")
    if len({len(cells) for cells in table.values()}) > 1:
        raise RefusedRequest(f"{_INPUTS}: the columns differ in length")
    return list(table), [list(row) for row in zip(*table.values(), strict=True)]


def _check_names(names: Sequence[Any]) -> None:
    """Refuse unknown and repeated columns."""
    known = set(Column)
    unknown = [name for name in names if not isinstance(name, str) or name not in known]
    if unknown:
        raise unknown_columns_error(unknown)
    if len(set(names)) < len(names):
        repeated = next(name for index, name in enumerate(names) if name in names[:index])
        raise FieldError("column", repeated, "every column once", "It occurs twice.")


def read_params(pairs: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Return the parameters of a prediction by name.

    Parameters
    ----------
    pairs
        Names and values, numbers or text; None is the same as a missing parameter.

    Raises
    ------
    FieldError
        If a parameter is unknown, repeated or invalid. The model checks how high a level may be.
    """
    params: dict[str, float] = {}
    for name, value in pairs:
        if name not in {LEVEL, TEMPERATURE}:
            raise FieldError(
                _PARAMS, name, f"{LEVEL}, {TEMPERATURE}", nearest(name[:_MAX_QUOTED], (LEVEL, TEMPERATURE))
            )
        if name in params:
            raise FieldError(name, value, "every parameter once", "It is given twice.")
        if value is not None:
            params[name] = _parse_level(value) if name == LEVEL else _parse_temperature(value)
    return params


def _parse_level(value: Any) -> float:
    try:
        if not isinstance(value, (int, float, str)) or isinstance(value, bool) or is_missing(value):
            raise TypeError
        return to_number(value)
    except (TypeError, ValueError, OverflowError):
        raise FieldError(LEVEL, value, "a number above 0 and below 1") from None


def _parse_temperature(value: Any) -> float:
    parsed = Column.MEASUREMENT_TEMPERATURE_C.parse(value)
    if not isinstance(parsed, float):
        raise FieldError(TEMPERATURE, value, Column.MEASUREMENT_TEMPERATURE_C.allowed)
    return parsed


def _json_type(value: object) -> str:
    """Return the type of a JSON value, with its article, for a message."""
    kinds: dict[type, str] = {list: "a list", dict: "an object", str: "a text", type(None): "null", bool: "a flag"}
    return kinds.get(type(value), "a number")


def _quote(text: str) -> str:
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}...")


def install_request_check() -> bool:
    """Wrap MLflow's server in the check if the server is loading the model; return whether it is."""
    module = sys.modules.get(_SERVER_MODULE)
    if module is None or hasattr(module, "app"):
        return False
    sys.modules[_SERVER_MODULE] = CheckedServer(module)
    return True


class CheckedServer(ModuleType):
    """Replacement of MLflow's server module, with the check in front of the application."""

    def __init__(self, server: ModuleType) -> None:
        super().__init__(server.__name__)
        self.server = server

    @cached_property
    def app(self) -> RequestCheck:
        """The wrapped application, which MLflow creates after loading the model."""
        return RequestCheck(self.server.app)


class RequestCheck:
    """ASGI middleware that passes on the requests that `read_request` accepts and refuses the others."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.slots = asyncio.Semaphore(_MAX_CONCURRENT)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle a request, as the ASGI specification defines."""
        lengths = (b"content-length", b"transfer-encoding")
        if scope["type"] == "http" and all(_header(scope, name) is not None for name in lengths):
            # Proxy and server could disagree on the end of the body and take the rest for another request.
            await _CleanResponse(send).refuse(
                400, "a request has Content-Length or Transfer-Encoding, not both", close=True
            )
            return
        if scope["type"] != "http" or scope["path"] != _INVOCATIONS_PATH or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        response = _CleanResponse(send)
        try:
            body = await _read_body(scope, receive)
            if body is not None:
                await self._forward(scope, body, receive, response)
        except RefusedRequest as refused:
            await response.refuse(refused.status, refused.message)
        except Exception:  # noqa: BLE001  (no response may contain a stack trace)
            _log.exception("a request failed")
            await response.refuse(500, _FAILURE_MESSAGE)

    async def _forward(self, scope: Message, body: bytes, receive: Receive, response: _CleanResponse) -> None:
        async with self.slots:
            query = scope.get("query_string", b"").decode("latin-1")
            checked = await asyncio.to_thread(read_request, body, _header(scope, b"content-type"), query)
            await self.app(_scope_with_body(scope, checked), _replay_body(checked, receive), response)


class _CleanResponse:
    """Sender of the application's response, which removes stack trace and table from that to a failed request."""

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
            content = load_json(self.body.decode())
            trace = content.get("stack_trace")
            reason = content.get(REASON_KEY) or content.get("message") or content["detail"]
        except (ValueError, AttributeError, KeyError):
            trace, reason = None, self.body.decode("utf-8", "replace")
        if trace:
            _log.error("a request was answered with status %d:\n%s", self.status, trace)
        await self._send_error(self.status, str(reason))

    async def refuse(self, status: int, message: str, *, close: bool = False) -> None:
        """Send an error unless a response has been started; `close` also ends the connection."""
        if not 0 < self.status < 400:
            await self._send_error(status, message, close=close)

    async def _send_error(self, status: int, message: str, *, close: bool = False) -> None:
        code = "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST"
        body = json.dumps({"error_code": code, "message": message}).encode()
        headers = [(b"content-type", JSON.encode()), (b"content-length", str(len(body)).encode())]
        headers += [(b"connection", b"close")] if close else []
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def _read_body(scope: Message, receive: Receive) -> bytes | None:
    """Return the body of a request; None if the client disconnected.

    Raises
    ------
    RefusedRequest
        If the body is larger than `MAX_BYTES`.
    """
    declared = _header(scope, b"content-length") or "0"
    if declared.isdecimal() and int(declared) > MAX_BYTES and _header(scope, b"expect"):
        raise _too_large()  # the client waits for permission to send
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
        if size > _MAX_DISCARDED_BYTES or (size > MAX_BYTES and not message.get("more_body", False)):
            raise _too_large()
        if not message.get("more_body", False):
            return b"".join(pieces)


def _header(scope: Message, name: bytes) -> str | None:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), None)


def _scope_with_body(scope: Message, body: bytes) -> Message:
    """Return the scope of a request with the headers for a new body."""
    replaced = {b"content-type": JSON.encode(), b"content-length": str(len(body)).encode()}
    removed = {*replaced, b"transfer-encoding"}
    kept = [(key, value) for key, value in scope["headers"] if key.lower() not in removed]
    return {**scope, "headers": [*kept, *replaced.items()]}


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return an ASGI receiver of the new body, followed by the client's later messages."""
    pending = [body]

    async def receive_next() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return receive_next
