"""Requests to MLflow's scoring server: read strictly, limited in size, and answered without a stack trace.

Left to itself, that server lets misspelled parameters and repeated keys pass without a word, answers a broken CSV
with a stack trace, and JSON nested ten thousand deep with status 500. It gives a model no say in how a request is
read. But a model is loaded while Python imports the module of the server whose application uvicorn will take; and
Python lets a module that is being imported put another in its place. There `CheckedServer` puts itself, with the
same application behind a layer of ASGI. Nothing of MLflow is changed. Loaded in any other way, a model changes
nothing.
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
from nasicon_ml.recipe.rules import unknown_columns
from nasicon_ml.tracking.signature import AT_C, LEVEL

#: A request may be so large, and hold so many recipes. Ten thousand recipes stated in full are 6 MB of JSON, and
#: are answered well within the minute that MLflow gives a request.
MAX_BYTES, MAX_ROWS = 8 * 1024 * 1024, 10_000
JSON, CSV = "application/json", "text/csv"

_RECORDS, _SPLIT, _INPUTS, _INSTANCES = "dataframe_records", "dataframe_split", "inputs", "instances"
_TABLES, _PARAMS = (_RECORDS, _SPLIT, _INPUTS, _INSTANCES), "params"
_SPLIT_PARTS = ("columns", "data", "index")
_NAME = "request"
_LONGEST_SHOWN = 60
#: A table has one list or object for each recipe; formulas may hold brackets, too.
_MOST_BRACKETS = 10 * MAX_ROWS
#: Characters of a whole number that surely fits into 64 bits.
_LONGEST_WHOLE = 18

Rows = tuple[list[str], list[list[Any]]]
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


class RefusedRequest(Exception):  # noqa: N818  (a request is refused, nothing went wrong)
    """A request that is not answered, with the status to say so."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.message, self.status = message, status
        super().__init__(message)


def read_request(body: bytes, content_type: str | None, query: str = "") -> bytes:
    """Check a request, and write it in the one form that is passed on to MLflow.

    Parameters
    ----------
    body
        JSON with one of ``dataframe_records``, ``dataframe_split``, ``inputs``, ``instances``, and perhaps
        ``params``; or CSV.
    content_type
        The header.
    query
        What stands after the question mark of the address; may hold the parameters.

    Returns
    -------
    bytes
        JSON: ``dataframe_split`` and ``params``. Cells are as they were sent; the model checks them.

    Raises
    ------
    RefusedRequest
        If it cannot be read, is too large, or names an unknown column or parameter.
    """
    kind = _kind_of(content_type)
    if len(body) > MAX_BYTES:
        raise _too_large()
    if not body.strip():
        raise RefusedRequest("the request is empty; send a table of recipes as JSON or CSV")
    try:
        (columns, rows), params = (_csv_table(body), {}) if kind == CSV else _json_table(body)
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
    """Return the answer to a body of too many bytes."""
    return RefusedRequest(
        f"the request is larger than {MAX_BYTES} bytes (about {MAX_ROWS} recipes); send several", 413
    )


def _kind_of(content_type: str | None) -> str:
    """Return whether it is JSON or CSV, by the header."""
    kind, *settings = [part.strip() for part in (content_type or "").lower().split(";")]
    if kind not in {JSON, CSV}:
        given = f"{kind!r}" if kind else "none"
        raise RefusedRequest(f"Content-Type: {given} is not accepted; allowed: {JSON}, {CSV}", 415)
    for setting in settings:
        name, _, value = setting.partition("=")
        if setting and (name.strip() != "charset" or value.strip(" \"'") not in {"utf-8", "utf8"}):
            raise RefusedRequest(f"Content-Type: {setting!r} is not accepted; allowed: charset=utf-8", 415)
    return kind


def _csv_table(body: bytes) -> Rows:
    # Counted first: short rows are filled up to the width of the header, and so might fill the memory.
    if max(body.count(b"\n"), body.count(b"\r")) > 2 * MAX_ROWS:
        raise RefusedRequest(f"more lines than the {MAX_ROWS} recipes of one request need; send several", 413)
    frame = read_csv(body, _NAME).frame
    columns = [str(name) for name in frame.columns]
    _check_names(columns)
    return columns, frame.to_numpy().tolist()


def _json_table(body: bytes) -> tuple[Rows, Mapping[str, Any]]:
    # Counted first: the smallest lists and objects take a hundred times the room and time of their bytes.
    if body.count(b"[") + body.count(b"{") > _MOST_BRACKETS:
        raise RefusedRequest(f"more lists and objects than {MAX_ROWS} recipes need; send several requests", 413)
    content = _json(decode(body, _NAME))
    if not isinstance(content, dict):
        raise RefusedRequest(f"the JSON is {_named(content)}; needed: an object with {_RECORDS} or {_SPLIT}")
    for key in content:
        if key not in {*_TABLES, _PARAMS}:
            hint = nearest(key[:_LONGEST_SHOWN], (*_TABLES, _PARAMS))
            raise RefusedRequest(
                f"{_shown(key)} is not accepted; allowed: {_RECORDS}, {_SPLIT}, {_PARAMS}. {hint}".strip()
            )
    given = [key for key in _TABLES if key in content]
    if len(given) != 1:
        raise RefusedRequest(f"needed: exactly one of {', '.join(_TABLES)}; given: {', '.join(given) or 'none'}")
    params = content.get(_PARAMS)
    if not isinstance(params, dict | None):
        raise RefusedRequest(f"{_PARAMS} is {_named(params)}; needed: an object with {LEVEL} or {AT_C}")
    return _rows(given[0], content[given[0]]), params or {}


def _json(text: str) -> Any:
    try:
        return load_json(text, parse_int=_whole)
    except RepeatedKeyError as error:
        raise RefusedRequest(f"{_shown(error.key)} is given twice in one object") from None
    except json.JSONDecodeError as error:
        raise RefusedRequest(f"line {error.lineno}, column {error.colno}: not valid JSON ({error.msg})") from None
    except ValueError:
        raise RefusedRequest("the JSON is no table: it is nested too deeply") from None


def _whole(digits: str) -> float:
    """Read a whole number; one that pandas could not hold is refused by its column as any that is too large."""
    return int(digits) if len(digits) <= _LONGEST_WHOLE else float(digits)


def _rows(form: str, table: Any) -> Rows:
    """Read any of MLflow's forms of a table."""
    if form == _SPLIT:
        return _split_rows(table)
    if form == _INPUTS and isinstance(table, dict):
        return _columns_rows(table)
    return _record_rows(form, table)


def _split_rows(table: Any) -> Rows:
    if not isinstance(table, dict) or not {"columns", "data"} <= set(table) or set(table) - set(_SPLIT_PARTS):
        raise RefusedRequest(f"{_SPLIT} is to be an object with columns and data, and perhaps index")
    columns, data = table["columns"], table["data"]
    if not isinstance(columns, list) or not isinstance(data, list):
        raise RefusedRequest(f"{_SPLIT}: columns and data are to be lists")
    _check_names(columns)
    for number, row in enumerate(data, start=1):
        if not isinstance(row, list):
            raise RefusedRequest(f"{_SPLIT}, row {number}: {_named(row)} where a list of cells is needed")
        if len(row) != len(columns):
            raise RefusedRequest(f"{_SPLIT}, row {number}: {len(row)} cells, but there are {len(columns)} columns")
    return columns, data


def _record_rows(form: str, table: Any) -> Rows:
    if not isinstance(table, list):
        raise RefusedRequest(f"{form} is {_named(table)}; needed: a list of objects, one a recipe")
    names: dict[str, None] = {}
    for number, row in enumerate(table, start=1):
        if not isinstance(row, dict):
            raise RefusedRequest(f"{form}, row {number}: {_named(row)} where an object is needed, one a recipe")
        names |= dict.fromkeys(row)
    columns = list(names)
    _check_names(columns)
    return columns, [[row.get(name) for name in columns] for row in table]


def _columns_rows(table: dict[str, Any]) -> Rows:
    _check_names(list(table))
    for name, cells in table.items():
        if not isinstance(cells, list):
            raise RefusedRequest(f"{_INPUTS}: {_shown(name)} holds {_named(cells)}; needed: a list of cells")
    if len({len(cells) for cells in table.values()}) > 1:
        raise RefusedRequest(f"{_INPUTS}: the columns differ in length")
    return list(table), [list(row) for row in zip(*table.values(), strict=True)]


def _check_names(names: Sequence[Any]) -> None:
    """Refuse unknown and repeated columns, before a table is made of them."""
    known = set(Column)
    unknown = [name for name in names if not isinstance(name, str) or name not in known]
    if unknown:
        raise unknown_columns(unknown)
    if len(set(names)) < len(names):
        twice = next(name for at, name in enumerate(names) if name in names[:at])
        raise FieldError("column", twice, "every column once", "It stands twice.")


def read_params(pairs: Iterable[tuple[str, Any]]) -> dict[str, float]:
    """Read the parameters of a prediction.

    Parameters
    ----------
    pairs
        Names and values, numbers or text; what is None is not given.

    Raises
    ------
    FieldError
        If one is unknown, given twice, or no such number. How high a level may be only the model knows.
    """
    found: dict[str, float] = {}
    for name, value in pairs:
        if name not in {LEVEL, AT_C}:
            raise FieldError(_PARAMS, name, f"{LEVEL}, {AT_C}", nearest(name[:_LONGEST_SHOWN], (LEVEL, AT_C)))
        if name in found:
            raise FieldError(name, value, "every parameter once", "It is given twice.")
        if value is not None:
            found[name] = _level(value) if name == LEVEL else _temperature(value)
    return found


def _level(value: Any) -> float:
    try:
        if not isinstance(value, (int, float, str)) or isinstance(value, bool) or is_missing(value):
            raise TypeError
        return to_number(value)
    except (TypeError, ValueError, OverflowError):
        raise FieldError(LEVEL, value, "a number above 0 and below 1") from None


def _temperature(value: Any) -> float:
    parsed = Column.MEASUREMENT_TEMPERATURE_C.parse(value)
    if not isinstance(parsed, float):
        raise FieldError(AT_C, value, Column.MEASUREMENT_TEMPERATURE_C.allowed)
    return parsed


def _named(value: object) -> str:
    """Return what kind of JSON value something is."""
    kinds: dict[type, str] = {list: "a list", dict: "an object", str: "a text", type(None): "null", bool: "a flag"}
    return kinds.get(type(value), "a number")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}...")


def check_requests() -> bool:
    """Install the check in front of MLflow's server, if that is what loads the model; return whether it is."""
    module = sys.modules.get(_SERVER)
    if module is None or hasattr(module, "app"):
        return False
    sys.modules[_SERVER] = CheckedServer(module)
    return True


class CheckedServer(ModuleType):
    """What Python imports in place of MLflow's module: the same application, with the check before it."""

    def __init__(self, server: ModuleType) -> None:
        super().__init__(server.__name__)
        self.server = server

    @cached_property
    def app(self) -> RequestCheck:
        """The application; it is made right after the model is loaded."""
        return RequestCheck(self.server.app)


class RequestCheck:
    """Pass on what `read_request` accepts, and say no to the rest."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.slots = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection's request, as ASGI has it."""
        lengths = (b"content-length", b"transfer-encoding")
        if scope["type"] == "http" and all(_header(scope, name) is not None for name in lengths):
            # Two servers on the way could take different ends, and the rest for another request.
            await _CleanAnswer(send).refuse(
                400, "a request has Content-Length or Transfer-Encoding, not both", close=True
            )
            return
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
            said = load_json(self.body.decode())
            trace = said.get("stack_trace")
            reason = said.get(REASON) or said.get("message") or said["detail"]
        except (ValueError, AttributeError, KeyError):
            trace, reason = None, self.body.decode("utf-8", "replace")
        if trace:
            _log.error("a request was answered with status %d:\n%s", self.status, trace)
        await self._send_error(self.status, str(reason))

    async def refuse(self, status: int, message: str, *, close: bool = False) -> None:
        """Answer with an error, unless an answer is on its way already; and end the connection, if asked to."""
        if not 0 < self.status < 400:
            await self._send_error(status, message, close=close)

    async def _send_error(self, status: int, message: str, *, close: bool = False) -> None:
        code = "INTERNAL_ERROR" if status >= 500 else "BAD_REQUEST"
        body = json.dumps({"error_code": code, "message": message}).encode()
        headers = [(b"content-type", JSON.encode()), (b"content-length", str(len(body)).encode())]
        headers += [(b"connection", b"close")] if close else []
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


async def _body(scope: Message, receive: Receive) -> bytes | None:
    """Read the body as far as the limit; None if the client went away."""
    declared = _header(scope, b"content-length") or "0"
    if declared.isdecimal() and int(declared) > MAX_BYTES and _header(scope, b"expect"):
        raise _too_large()  # the client asks before it sends
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
            raise _too_large()
        if not message.get("more_body", False):
            return b"".join(pieces)


def _header(scope: Message, name: bytes) -> str | None:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), None)


def _with_body(scope: Message, body: bytes) -> Message:
    """Return the request's description, with what belongs to the new body."""
    replaced = {b"content-type": JSON.encode(), b"content-length": str(len(body)).encode()}
    kept = [
        (key, value) for key, value in scope["headers"] if key.lower() not in {*replaced, b"transfer-encoding"}
    ]
    return {**scope, "headers": [*kept, *replaced.items()]}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return the new body first, and then what the client does."""
    waiting = [body]

    async def receive_next() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receive_next
