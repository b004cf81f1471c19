"""Read JSON, YAML and Parquet. Nothing in a file is executed, and no key stands twice."""

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
from nasicon_ml.io.raw import MAX_BYTES, RawTable, decode, refuse_repeated, refuse_shape

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    import yaml

#: A list of recipes with their fields is three deep. PyYAML's time grows with the square of the depth.
_DEEPEST = 20
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")


def plain_loader(name: str) -> type[yaml.SafeLoader]:
    """Return the YAML loader for a file or text, which messages call `name`.

    It is PyYAML's safe loader, without aliases (a few bytes of which can fill the memory), repeated keys and deep
    nesting, each of which raises `UnreadableFileError`.
    """
    import yaml

    class PlainLoader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            if self.check_event(yaml.AliasEvent):
                raise UnreadableFileError(f"{name}, line {line}: YAML aliases (*name) are not read; write it out")
            if self.depth > _DEEPEST:
                raise UnreadableFileError(f"{name}, line {line}: this is nested too deeply for recipes")
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [str(key.value) for key, _ in node.value]
            refuse_repeated(keys, f"{name}, line {node.start_mark.line + 1}")
            return dict(super().construct_mapping(node, deep=deep))

        def construct_yaml_int(self, node: Any) -> Any:
            # YAML would read 1:30 as ninety, 010 as eight and 1_5 as fifteen.
            text = str(self.construct_scalar(node))
            return int(text) if _WHOLE.fullmatch(text) else text

        def construct_yaml_float(self, node: Any) -> Any:
            text = str(self.construct_scalar(node))
            return text if ":" in text or "_" in text else super().construct_yaml_float(node)

    for kind in ("int", "float"):
        PlainLoader.add_constructor(f"tag:yaml.org,2002:{kind}", getattr(PlainLoader, f"construct_yaml_{kind}"))
    return PlainLoader


class RepeatedKeyError(ValueError):
    """A JSON object that names a key twice, with its second value: one of its two values would be lost."""

    def __init__(self, key: str, value: Any) -> None:
        self.key, self.value = key, value
        super().__init__(f"{key[:80]!r} stands twice")


def load_json(text: str, *, finite: bool = False, parse_int: Callable[[str], Any] | None = None) -> Any:
    """Read JSON, and refuse repeated keys.

    `finite` refuses NaN, infinities and numbers too large for a float, too; `parse_int` reads a whole number from
    its digits.

    Raises
    ------
    RepeatedKeyError
        If an object names a key twice.
    json.JSONDecodeError
        If it is not JSON.
    ValueError
        If a number is not finite, has thousands of digits, or the text is nested too deeply.
    """
    strict: dict[str, Any] = {"parse_constant": _refuse_constant, "parse_float": _finite} if finite else {}
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_int=parse_int, **strict)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def dump_json(content: Any) -> bytes:
    """Return JSON with sorted keys, in UTF-8; equal content gives equal bytes.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return (text + "\n").encode("utf-8")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise RepeatedKeyError(key, value)
        found[key] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is too large a number")
    return number


def read_json(data: bytes, name: str) -> RawTable:
    """Read a JSON list of objects, or one object for one row.

    Raises
    ------
    UnreadableFileError
        If it is neither; the message says where.
    """
    try:
        content = load_json(decode(data, name))
    except RepeatedKeyError as error:
        raise UnreadableFileError(f"{name}: the column {error.key!r} stands more than once") from None
    except json.JSONDecodeError as error:
        raise UnreadableFileError(f"{name}, line {error.lineno}: not valid JSON ({error.msg})") from None
    except ValueError:
        raise UnreadableFileError(f"{name}: not a table (nested too deeply, or an endless number)") from None
    return _table_of_items(content, name)


def load_yaml(data: bytes, name: str, what: str) -> tuple[yaml.Node | None, Any]:
    """Read YAML; nothing in it is ever executed, and no key stands twice.

    Return the node of the document, which knows its lines (None if there is none), and its content. `what` it
    should be stands in the message that says it is not.

    Raises
    ------
    UnreadableFileError
        If it is not YAML, nested too deeply, or holds aliases or repeated keys; the message says where.
    """
    import yaml

    try:
        loader = plain_loader(name)(decode(data, name))
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
        If it is neither, or as `load_yaml`.
    """
    return _table_of_items(load_yaml(data, name, "a table")[1], name)


def _table_of_items(content: object, name: str) -> RawTable:
    """Return the table in a list of objects, or in one object."""
    items: list[Any] = content if isinstance(content, list) else [content]
    if not items:
        raise UnreadableFileError(f"{name}: the list is empty")
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise UnreadableFileError(
                f"{name}, item {number}: a {type(item).__name__} where an object with named fields is needed"
            )
    rows = [{str(key).strip(): value for key, value in item.items()} for item in items]
    refuse_shape(len(rows), len(set[str]().union(*rows)), name)
    frame = pd.DataFrame(rows, dtype="object", index=pd.RangeIndex(len(rows)))
    return RawTable(frame, None, name)


def read_parquet(data: bytes, name: str) -> RawTable:
    """Read a Parquet file, part by part: a few bytes of it can stand for a billion cells.

    Raises
    ------
    UnreadableFileError
        If it is not one, too large, or holds columns of other than text, numbers, truth values and times.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            texts = _check_footer(file, name)
        with pq.ParquetFile(io.BytesIO(data), read_dictionary=texts) as file:
            frame = _read_batches(file, name)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else "broken"
        raise UnreadableFileError(f"{name}: not a Parquet file ({reason})") from None
    return RawTable(frame, None, name)


#: Rows of a Parquet file that are read at a time: between two such parts the program can be stopped.
_BATCH_ROWS = 65_536
#: Bytes of a Parquet file's columns, uncompressed: two million rows of thirty numbers.
_MAX_UNCOMPRESSED = 512_000_000


def _check_footer(file: pq.ParquetFile, name: str) -> list[str]:
    """Refuse what is too large by what the file says of itself; return the columns of text."""
    import pyarrow as pa

    footer, schema = file.metadata, file.schema_arrow
    refuse_shape(footer.num_rows, len(schema.names), name)
    refuse_repeated([str(column) for column in schema.names], name)
    size = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
    if size > _MAX_UNCOMPRESSED:
        raise UnreadableFileError(
            f"{name}: {size} bytes when uncompressed are more than the {_MAX_UNCOMPRESSED} that are read; split it"
        )
    texts = []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            texts.append(field.name)
        elif pa.types.is_nested(kind) or not (pa.types.is_primitive(kind) or pa.types.is_null(kind)):
            raise UnreadableFileError(
                f"{name}: the column {field.name!r} holds {str(kind)[:80]}; allowed: text, numbers, truth values"
            )
    return texts


def _read_batches(file: pq.ParquetFile, name: str) -> pd.DataFrame:
    """Read all rows; texts stay in the dictionary until it is known how much they are when written out."""
    rows, characters = 0, 0
    parts = [file.schema_arrow.empty_table().to_pandas(ignore_metadata=True)]
    for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
        rows += batch.num_rows
        refuse_shape(rows, batch.num_columns, name)
        cells: dict[int, Any] = {}
        for place, column in enumerate(batch.columns):
            cells[place], length = _cells_of(column)
            characters += length
            if characters > MAX_BYTES["csv"]:
                raise UnreadableFileError(
                    f"{name}: its texts have more than the {MAX_BYTES['csv']} characters that are read; split it"
                )
        parts.append(pd.DataFrame(cells).set_axis(parts[0].columns, axis="columns"))
    frame = pd.concat(parts[1:] or parts, ignore_index=True)
    frame.columns = pd.Index([str(column).strip() for column in frame.columns])
    return frame


def _cells_of(column: Any) -> tuple[Any, int]:
    """Return the cells of a column, and how many characters they have when all are written out."""
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
