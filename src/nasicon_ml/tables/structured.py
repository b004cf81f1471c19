"""Reads JSON, YAML and Parquet."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.tables.limits import refuse_shape
from nasicon_ml.tables.plain_yaml import plain_loader
from nasicon_ml.tables.raw import RawTable, decode, refuse_repeated


def read_json(data: bytes, name: str) -> RawTable:
    """Read a JSON list of objects, or one object for one row.

    Raises
    ------
    UnreadableFileError
        If it is neither; the message says where.
    """

    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            refuse_repeated([key for key, _ in pairs], name)
        return fields

    try:
        content = json.loads(decode(data, name), object_pairs_hook=without_repeats)
    except json.JSONDecodeError as error:
        raise UnreadableFileError(f"{name}, line {error.lineno}: not valid JSON ({error.msg})") from None
    except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
        raise UnreadableFileError(f"{name}: not a table (nested too deeply, or an endless number)") from None
    return _table_of_items(content, name)


def read_yaml(data: bytes, name: str) -> RawTable:
    """Read a YAML list of mappings, or one mapping for one row; nothing in it is ever executed.

    Raises
    ------
    UnreadableFileError
        If it is neither, too large, or holds aliases; the message says where.
    """
    import yaml

    try:
        content = yaml.load(decode(data, name), Loader=plain_loader(name))  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}, line {mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "broken"
        raise UnreadableFileError(f"{place}: not valid YAML ({problem})") from None
    except (RecursionError, ValueError, TypeError):  # ValueError: a date such as 2020-13-45
        raise UnreadableFileError(f"{name}: not a table (nested too deeply, or an impossible value)") from None
    return _table_of_items(content, name)


def _table_of_items(content: object, name: str) -> RawTable:
    """Make a table of a list of objects, or of one object."""
    items: list[Any] = content if isinstance(content, list) else [content]
    if not items:
        raise UnreadableFileError(f"{name}: the list is empty")
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise UnreadableFileError(
                f"{name}, item {number}: a {type(item).__name__} where an object with named fields is needed"
            )
    rows = [{str(key).strip(): value for key, value in item.items()} for item in items]
    frame = pd.DataFrame(rows, dtype="object", index=pd.RangeIndex(len(rows)))
    return RawTable(frame, None, name)


def read_parquet(data: bytes, name: str) -> RawTable:
    """Read a Parquet file.

    Raises
    ------
    UnreadableFileError
        If it is not one, or too large.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(data))
        # A few bytes can say that one value stands in a billion rows.
        refuse_shape(file.metadata.num_rows, len(file.schema_arrow.names), name)
        table = file.read()
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else "broken"
        raise UnreadableFileError(f"{name}: not a Parquet file ({reason})") from None
    refuse_repeated([str(column) for column in table.column_names], name)
    frame = table.to_pandas(ignore_metadata=True)
    frame.columns = pd.Index([str(column).strip() for column in frame.columns])
    return RawTable(frame.reset_index(drop=True), None, name)
