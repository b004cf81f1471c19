"""Read JSON, YAML and Parquet. Nothing in a file is executed, and repeated keys are refused."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pandas as pd

from nasicon_ml.errors import UnreadableFileError
from nasicon_ml.io.raw import MAX_BYTES, RawTable, check_shape, check_unique_names, decode

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    import yaml

#: A list of recipes has a depth of three. PyYAML's time grows with the square of the depth.
_MAX_DEPTH = 20
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")


def restricted_loader(name: str) -> type[yaml.SafeLoader]:
    """Return PyYAML's safe loader for the file or text that messages call `name`, with more restrictions.

    Aliases (of which a few bytes can fill the memory), repeated keys and deep nesting raise `UnreadableFileError`.
    """
    import yaml

    class RestrictedLoader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            if self.check_event(yaml.AliasEvent):
                raise UnreadableFileError(f"{name}, line {line}: YAML aliases (*name) are not read; write it out")
            if self.depth > _MAX_DEPTH:
                raise UnreadableFileError(f"{name}, line {line}: this is nested too deeply for recipes")
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [str(key.value) for key, _ in node.value]
            check_unique_names(keys, f"{name}, line {node.start_mark.line + 1}")
            return dict(super().construct_mapping(node, deep=deep))

        def construct_yaml_int(self, node: Any) -> Any:
            # YAML 1.1 reads 1:30 as 90, 010 as 8 and 1_5 as 15.
            text = str(self.construct_scalar(node))
            return int(text) if _INTEGER.fullmatch(text) else text

        def construct_yaml_float(self, node: Any) -> Any:
            text = str(self.construct_scalar(node))
            return text if ":" in text or "_" in text else super().construct_yaml_float(node)

    for kind in ("int", "float"):
        constructor = getattr(RestrictedLoader, f"construct_yaml_{kind}")
        RestrictedLoader.add_constructor(f"tag:yaml.org,2002:{kind}", constructor)
    return RestrictedLoader


class RepeatedKeyError(ValueError):
    """A JSON object repeats `key`, here with its second `value`."""

    def __init__(self, key: str, value: Any) -> None:
        self.key, self.value = key, value
        super().__init__(f"{key[:80]!r} occurs twice")


def load_json(text: str, *, finite: bool = False, parse_int: Callable[[str], Any] | None = None) -> Any:
    """Return the content of a JSON text.

    `parse_int` converts the digits of an integer, as in `json.loads`.

    Raises
    ------
    RepeatedKeyError
        If an object repeats a key.
    json.JSONDecodeError
        If the text is not JSON.
    ValueError
        If a number has thousands of digits or, with `finite`, is not finite, or the text is nested too deeply.
    """
    strict: dict[str, Any] = {"parse_constant": _refuse_constant, "parse_float": _finite_float} if finite else {}
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_int=parse_int, **strict)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def dump_json(content: Any) -> bytes:
    """Return the content as JSON in UTF-8 with sorted keys, so that equal content gives equal bytes.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return (text + "\n").encode("utf-8")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise RepeatedKeyError(key, value)
        content[key] = value
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is too large a number")
    return number


def read_json(data: bytes, name: str) -> RawTable:
    """Read a JSON list of objects, or one object for one row.

    Raises
    ------
    UnreadableFileError
        If the content is neither; the message names the place.
    """
    try:
        content = load_json(decode(data, name))
    except RepeatedKeyError as error:
        raise UnreadableFileError(f"{name}: the column {error.key!r} occurs more than once") from None
    except json.JSONDecodeError as error:
        raise UnreadableFileError(f"{name}, line {error.lineno}: not valid JSON ({error.msg})") from None
    except ValueError:
        raise UnreadableFileError(f"{name}: not a table (nested too deeply, or an endless number)") from None
    return _table_of_items(content, name)


def load_yaml(data: bytes, name: str, what: str) -> tuple[yaml.Node | None, Any]:
    """Return the root node of a YAML document, which has its lines, and its content.

    The node is None if the document is empty. `what` names the expected content in messages.

    Raises
    ------
    UnreadableFileError
        If it is not YAML, is nested too deeply, or contains aliases or repeated keys; the message names the place.
    """
    import yaml

    try:
        loader = restricted_loader(name)(decode(data, name))
        try:
            node = loader.get_single_node()
            return node, None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}, line {mark.line + 1}" if mark else name
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "broken"
        raise UnreadableFileError(f"{place}: not valid YAML ({problem})") from None
    except (RecursionError, ValueError, TypeError):  # ValueError: a date such as 2020-13-45
        raise UnreadableFileError(f"{name}: not {what} (nested too deeply, or an impossible value)") from None


def read_yaml(data: bytes, name: str) -> RawTable:
    """Read a YAML list of mappings, or one mapping for one row.

    Raises
    ------
    UnreadableFileError
        If the content is neither, or `load_yaml` raises it.
    """
    return _table_of_items(load_yaml(data, name, "a table")[1], name)


def _table_of_items(content: object, name: str) -> RawTable:
    """Return the table of a list of objects, or of one object."""
    items: list[Any] = content if isinstance(content, list) else [content]
    if not items:
        raise UnreadableFileError(f"{name}: the list is empty")
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise UnreadableFileError(
                f"{name}, item {number}: a {type(item).__name__} where an object with named fields is needed"
            )
    rows = [{str(key).strip(): value for key, value in item.items()} for item in items]
    check_shape(len(rows), len(set[str]().union(*rows)), name)
    frame = pd.DataFrame(rows, dtype="object", index=pd.RangeIndex(len(rows)))
    return RawTable(frame, None, name)


def read_parquet(data: bytes, name: str) -> RawTable:
    """Read a Parquet file in batches, as a few of its bytes can encode a billion cells.

    Raises
    ------
    UnreadableFileError
        If it is not Parquet, is too large, or has columns other than text, numbers, booleans and times.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            text_columns = _check_footer(file, name)
        with pq.ParquetFile(io.BytesIO(data), read_dictionary=text_columns) as file:
            frame = _read_batches(file, name)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else "broken"
        raise UnreadableFileError(f"{name}: not a Parquet file ({reason})") from None
    return RawTable(frame, None, name)


#: Rows of a Parquet file that are read at a time; the program can be interrupted between batches.
_BATCH_ROWS = 65_536
#: Uncompressed bytes of a Parquet file; two million rows of thirty numbers have fewer.
_MAX_UNCOMPRESSED = 512_000_000


def _check_footer(file: pq.ParquetFile, name: str) -> list[str]:
    """Return the text columns; raise `UnreadableFileError` if the metadata announce too large a table."""
    import pyarrow as pa

    footer, schema = file.metadata, file.schema_arrow
    check_shape(footer.num_rows, len(schema.names), name)
    check_unique_names([str(column) for column in schema.names], name)
    size = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
    if size > _MAX_UNCOMPRESSED:
        raise UnreadableFileError(
            f"{name}: {size} bytes when uncompressed are more than the {_MAX_UNCOMPRESSED} that are read; split it"
        )
    text_columns = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            text_columns.append(field.name)
        elif pa.types.is_nested(kind) or not (pa.types.is_primitive(kind) or pa.types.is_null(kind)):
            raise UnreadableFileError(
                f"{name}: the column {field.name!r} holds {str(kind)[:80]}; allowed: text, numbers, truth values"
            )
    return text_columns


def _read_batches(file: pq.ParquetFile, name: str) -> pd.DataFrame:
    """Read all rows, and limit the characters of all cells before dictionary-encoded text is expanded."""
    rows, characters = 0, 0
    frames = [file.schema_arrow.empty_table().to_pandas(ignore_metadata=True)]
    for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
        rows += batch.num_rows
        check_shape(rows, batch.num_columns, name)
        cells: dict[int, Any] = {}
        for position, column in enumerate(batch.columns):
            cells[position], column_characters = _expand_column(column)
            characters += column_characters
            if characters > MAX_BYTES["csv"]:
                raise UnreadableFileError(
                    f"{name}: its texts have more than the {MAX_BYTES['csv']} characters that are read; split it"
                )
        frames.append(pd.DataFrame(cells).set_axis(frames[0].columns, axis="columns"))
    frame = pd.concat(frames[1:] or frames, ignore_index=True)
    frame.columns = pd.Index([str(column).strip() for column in frame.columns])
    return frame


def _expand_column(column: Any) -> tuple[Any, int]:
    """Return the cells of a column, which share equal texts, and their characters in total."""
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return column.to_pandas(), 0
    used, codes = np.unique(column.indices.fill_null(-1).to_numpy(), return_inverse=True)
    values = column.dictionary.take(pa.array(np.maximum(used, 0))).to_pylist() if len(column.dictionary) else []
    values = [None if code < 0 else value for code, value in zip(used.tolist(), values or [None], strict=True)]
    lengths = np.array([len(value) if isinstance(value, str) else 0 for value in values], dtype=np.int64)
    shared = np.empty(len(values), dtype=object)
    shared[:] = values
    return shared[codes], int(lengths[codes].sum())
