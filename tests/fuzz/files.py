"""Strategies for malformed files of recipes: odd cells, wrong encodings, damaged bytes and hostile YAML."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import strategies as st

from nasicon_ml.columns import RECIPE, Column
from tests.fuzz.test_recipes import JSON_TEXTS, YAML_TEXTS
from tests.fuzz.texts import damaged, odd_formula, odd_name, odd_text
from tests.recipe.strategies import recipe_fields


@dataclass(frozen=True)
class Sample:
    """A file: its extension, its bytes, the number of recipes if it is known, and what is wrong with it."""

    extension: str
    data: bytes
    recipes: int | None = None
    damage: str = ""


#: Texts that people and programs write into numeric cells.
ODD_CELLS = [
    "nan", "inf", "-inf", "1e400", "-1e400", "-5", "-0", "1073.15", "1073", "298.15", "800 °C", "2 h", "1,5",
    "1.5.2", "1e", "0x1F",
    "true", "FALSE", "2020-01-01", "01.05.2020", "=1+1", "=cmd|' /C calc'!A0", "+800", "@800", "--", "8OO", "٨٠٠",
    "\uff18\uff10\uff10", "½", " ",
    "1:30", "010", "1_000", "9" * 400, "800;900", "[800]", "{}", "NULL", "#DIV/0!", "#N/A", "\u00a0800",
    "800\u200b", "~800", "%",
]  # fmt: skip
NUMBERS = [
    Column.SINTERING_TEMPERATURE_C,
    Column.SINTERING_TIME_H,
    Column.PARTICLE_SIZE_UM,
    Column.MEASUREMENT_TEMPERATURE_C,
]
CHOICES = [Column.ATMOSPHERE, Column.DENSIFICATION, Column.SYNTHESIS_ROUTE, Column.ADDITIVE_UNIT]
HEADER = ["formula", "sintering_temperature_c", "sintering_time_h", "atmosphere", "pellet_id"]
Rows = list[list[str]]


@st.composite
def recipe_rows(draw: st.DrawFn) -> Rows:
    """Draw a header and some valid rows."""
    count = draw(st.integers(1, 4))
    body = [
        [draw(st.sampled_from(["LATP x=0.3", "LAGP x=0.5", "NZSP", "LiTi2(PO4)3"])), str(700 + 50 * row), "2",
        "air", f"p{row}"]
        for row in range(count)
    ]  # fmt: skip
    return [list(HEADER), *body]


def csv_text(table: Rows, separator: str = ",", line_end: str = "\n") -> str:
    """Write a table as CSV, with quotation marks where they are needed."""

    def cell(text: str) -> str:
        quoted = any(sign in text for sign in f'{separator}"\n\r')
        return '"' + text.replace('"', '""') + '"' if quoted else text

    return line_end.join(separator.join(map(cell, row)) for row in table) + line_end


def encoded(text: str) -> bytes:
    """Encode as UTF-8; lone surrogates, which UTF-8 forbids, are encoded as careless programs do."""
    return text.encode("utf-8", errors="surrogatepass")


@st.composite
def csv_with_odd_cells(draw: st.DrawFn) -> Sample:
    """Draw a well-formed CSV with one to three odd cells."""
    table = draw(recipe_rows())
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.integers(1, len(table) - 1))
        column = draw(st.integers(0, len(HEADER) - 1))
        odd = odd_formula if column == 0 else st.sampled_from(ODD_CELLS) | odd_text
        table[row][column] = draw(odd)
    text = csv_text(table)
    is_count_known = all(any(cell.strip() for cell in row) for row in table) and "\0" not in text
    is_count_known = is_count_known and not any("\ud800" <= char <= "\udfff" for char in text)
    return Sample("csv", encoded(text), len(table) - 1 if is_count_known else None, "cells")


@st.composite
def csv_with_odd_header(draw: st.DrawFn) -> Sample:
    """Draw a CSV with a renamed, duplicated or dropped column, without a header, or with numbers as header."""
    table = draw(recipe_rows())
    name = draw(odd_name | st.sampled_from([*HEADER, "a" * 100_000, "(" * 100_000, "=1+1"]))
    change = draw(st.sampled_from(["rename", "duplicate", "drop", "no header", "numbers"]))
    position = draw(st.integers(0, len(HEADER) - 1))
    if change == "rename":
        table[0][position] = name
    elif change == "duplicate":
        table = [[*row, row[position]] for row in table]
    elif change == "drop":
        table = [row[:position] + row[position + 1 :] for row in table]
    elif change == "no header":
        table = table[1:]
    else:
        table[0] = [str(number) for number in range(len(HEADER))]
    return Sample("csv", encoded(csv_text(table)), damage=f"header: {change}")


def _utf16(text: str) -> bytes:
    return text.encode("utf-16")


#: Ways to damage a whole CSV file, by name.
DAMAGES: dict[str, Callable[[str], bytes]] = {
    "UTF-16": _utf16,
    "UTF-16-LE": lambda text: text.encode("utf-16-le"),
    "UTF-16-BE": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "UTF-7": lambda text: text.replace("air", "µ").encode("utf-7"),
    "Latin-1": lambda text: text.replace("air", "Ar µ°é").encode("latin-1"),
    "EBCDIC": lambda text: text.encode("cp500"),
    "two byte order marks": lambda text: codecs.BOM_UTF8 * 2 + text.encode(),
    "byte order mark inside": lambda text: text.replace("\n", "\n\ufeff", 1).encode(),
    "lone surrogates": lambda text: text.replace("air", "\ud800").encode("utf-8", "surrogatepass"),
    "overlong encoding": lambda text: text.replace("air", "a").encode() + b"\xc0\xaf,1\n",
    "NUL": lambda text: text.replace("air", "a\0r").encode(),
    "NULs": lambda _: b"\0" * 5000,
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "pipes": lambda text: text.replace(",", "|").encode(),
    "sep=": lambda text: b"sep=,\n" + text.encode(),
    "decimal commas": lambda text: text.replace("2,air", "2,5,air").encode(),
    "mixed line ends": lambda text: text.replace("\n", "\r\n", 1).replace("air", "air\r").encode(),
    "long row": lambda text: text.encode() + b"LTP,1,2,air,p,q,r\n",
    "very long row": lambda text: text.encode() + b"," * 300_000 + b"x\n",
    "short row": lambda text: text.encode() + b"LTP\n",
    "unclosed quote": lambda text: text.replace("air", '"air', 1).encode(),
    "quote inside a cell": lambda text: text.replace("air", 'a"i"r').encode(),
    "text after a quote": lambda text: text.replace("air", '"air"x').encode(),
    "unclosed quote, long": lambda text: (text + '"' + "a,b\n" * 50_000).encode(),
    "backslashes": lambda text: text.replace("air", 'a\\"ir').encode(),
    "no header": lambda text: text.split("\n", 1)[1].encode(),
    "header only": lambda text: text.split("\n", 1)[0].encode(),
    "header twice": lambda text: (text.split("\n", 1)[0] + "\n" + text).encode(),
    "two tables": lambda text: (text + "\n" + text).encode(),
    "comment": lambda text: b"# made by a program\n" + text.encode(),
    "blank lines": lambda _: b" \n\t\n,,,\n",
    "empty file": lambda _: b"",
    "one byte": lambda _: b"\xff",
    "long cell": lambda text: text.replace("air", "a" * 1_000_000).encode(),
    "long cells": lambda text: text.replace("air", "a" * 130_000).encode(),
    "100,000 columns": lambda text: _with_many_columns(text, 100_000),
    "400 columns": lambda text: _with_many_columns(text, 390),
    "HTML": lambda _: b"<!DOCTYPE html><html><body><table><tr><td>formula</td></tr></table></body></html>",
    "PNG": lambda _: b"\x89PNG\r\n\x1a\n" + zlib.compress(b"\0" * 999),
    "gzip": lambda text: gzip.compress(text.encode(), mtime=0),
    "zip": lambda _: b"PK\x03\x04" + bytes(range(256)),
    "SQLite": lambda _: _sqlite(),
    "pickle": lambda _: b"\x80\x04\x95\x10\x00\x00\x00\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.",
    "Parquet's first bytes": lambda text: b"PAR1" + text.encode(),
    "JSON": lambda _: b'[{"formula": "LTP"}]',
    "ELF": lambda _: b"\x7fELF\x02\x01\x01" + b"\0" * 60,
}  # fmt: skip


def _with_many_columns(text: str, columns: int) -> bytes:
    header = text.split("\n", 1)[0]
    return f"{header},{','.join(f'sintering{number}' for number in range(columns))}\n".encode()


def _sqlite() -> bytes:
    with sqlite3.connect(":memory:") as store:
        store.execute("create table t (formula)")
        return store.serialize()


@st.composite
def damaged_csv(draw: st.DrawFn) -> Sample:
    """Draw a CSV with one of `DAMAGES`, sometimes with a wrong extension, as people rename files."""
    damage = draw(st.sampled_from(sorted(DAMAGES)))
    extension = draw(st.sampled_from(["csv", "csv", "csv", "csv", "json", "yaml", "parquet"]))
    return Sample(extension, DAMAGES[damage](csv_text(draw(recipe_rows()))), damage=damage)


@st.composite
def file_with_changed_bytes(draw: st.DrawFn) -> Sample:
    """Draw a file with changed or missing bytes."""
    extension = draw(st.sampled_from(["csv", "json", "yaml", "parquet"]))
    data = bytearray(_serialized(draw(recipe_rows()), extension))
    for _ in range(draw(st.integers(1, 4))):
        position = draw(st.integers(0, len(data) - 1))
        length = draw(st.sampled_from([0, 1, 1, 1, 5, 200]))
        data[position : position + length] = draw(st.binary(max_size=4))
        if not data:
            break
    return Sample(extension, bytes(data), damage="bytes")


def _serialized(table: Rows, extension: str) -> bytes:
    frame = pd.DataFrame(table[1:], columns=table[0])
    if extension == "csv":
        return csv_text(table).encode()
    if extension == "json":
        return json.dumps(frame.to_dict("records")).encode()
    if extension == "yaml":
        return "".join(
            "- " + "\n  ".join(f"{name}: {cell}" for name, cell in row.items()) + "\n"
            for row in frame.to_dict("records")
        ).encode()
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


JSON_TABLES = [
    *JSON_TEXTS, '[{"formula": "LTP"}, {"formula": "LTP", "pellet_id": "\\ud800"}]',
    "[" + '{"formula": "LTP"},' * 3,
    '[{"formula": "LTP", "additive": "\\udfff"}]', '[{"formula": "LTP"}, null]', '[[{"formula": "LTP"}]]',
    '{"recipes": []}',
    '[{"formula": "LTP", "sintering_time_h": [1, 2]}]', '[{"formula": "LTP", "sintering_time_h": {"h": 2}}]',
    "[1e400]",
    '[{"formula": "LTP", "sintering_time_h": 1e999}]', '[{"formula": "LTP", "sintering_time_h": -Infinity}]',
    "[[[[" * 20_000,
    '[{"formula": null}, {}]', '[{"formula": "LTP", "pellet_id": {"a": 1}}]',
    '[{"formula": "LTP", "pellet_id": 1e400}]',
    "[" + ",".join(['{"formula": "LTP", "formula": "LGP"}'] * 3) + "]",
    '[{"formula": "LTP", "pellet_id": "=1+1"}]',
    "[" + ",".join(f'{{"formula": "LTP", "c{n}": 1}}' for n in range(2000)) + "]",
]  # fmt: skip
#: Nested aliases ("billion laughs"): expanded, they would exceed any memory.
YAML_BOMB = "formula0: &a0 [x]\n" + "".join(
    f"f{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
YAML_TABLES = [
    YAML_BOMB, YAML_BOMB + "formula: *a11\n", f"- formula: LTP\n- {{additive: {YAML_BOMB.splitlines()[0][10:]}}}",
    *YAML_TEXTS, "- formula: LTP\n- formula: LTP\n  pellet_id: *a", "- formula: LTP\n  sintering_time_h: 1:30",
    "- - - - - LTP",
    "- formula: LTP\n  sintering_time_h: 010", "- formula: LTP\n  pellet_id: 2020-01-01",
    "- formula: LTP\n  pellet_id: !!set {a}",
    "- formula: LTP\n  sintering_time_h: " + "1:" * 50_000 + "1",
    "- formula: LTP\n  sintering_time_h: " + "9" * 9_000, "a: 1\n" * 9_000,
    "lol: &a [x]\nb: [*a, *a]", "- !!python/object/new:os.system [id]", "- formula: !!python/tuple [a]",
    "- {formula: LTP, a: 1}",
    "- " * 50_000, "[" * 50_000, "{a: " * 50_000, "- formula: LTP\n  sintering_time_h: 2020-02-30",
    "- ? {a: b}\n  : c",
]  # fmt: skip


@st.composite
def malformed_json_or_yaml(draw: st.DrawFn) -> Sample:
    """Draw JSON or YAML that is invalid, is not a table, or is hostile."""
    extension, texts = draw(st.sampled_from([("json", JSON_TABLES), ("yaml", YAML_TABLES)]))
    text = draw(st.sampled_from(texts) | damaged(_items(extension), '{}[]",:&*!|>\\\t\x00\ud800'))
    return Sample(extension, encoded(text), damage=extension)


def _items(extension: str) -> st.SearchStrategy[str]:
    write: Callable[[Any], str] = (
        json.dumps if extension == "json" else lambda items: "\n".join(f"- {json.dumps(item)}" for item in items)
    )
    return st.lists(recipe_fields(), min_size=1, max_size=3).map(write)


#: Cells of types that Parquet can hold and recipes do not have.
CELLS_OF_ODD_TYPES: list[Any] = [
    [True], [b"800"], [pd.Timestamp("2020-01-01")], [pd.Timedelta("1h")], [{"a": 1}], [[800.0]], [None],
    [float("inf")], [1 + 0j],
    [2**62], ["800"], ["\x1b[2J"], [pd.Period("2020-01")], ["=1+1"], ["a" * 100_000],
]  # fmt: skip


@st.composite
def parquet_with_odd_type(draw: st.DrawFn) -> Sample:
    """Draw a Parquet file with a column of an odd type."""
    name = draw(st.sampled_from([column.value for column in (*RECIPE, Column.PELLET_ID, Column.NOTES)]))
    frame = pd.DataFrame({"formula": ["LTP"]}).assign(**{name: draw(st.sampled_from(CELLS_OF_ODD_TYPES))})
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer)
    except (ValueError, TypeError, NotImplementedError):  # a type that Parquet does not support
        frame[name] = frame[name].astype(str)
        buffer = io.BytesIO()
        frame.to_parquet(buffer)
    return Sample("parquet", buffer.getvalue(), 1, f"type of {name}")


any_file = st.one_of(
    csv_with_odd_cells(),
    csv_with_odd_cells(),
    csv_with_odd_header(),
    damaged_csv(),
    damaged_csv(),
    file_with_changed_bytes(),
    malformed_json_or_yaml(),
    parquet_with_odd_type(),
)


def write(sample: Sample, folder: Path) -> Path:
    """Write the file into the folder and return its path."""
    path = folder / f"table.{sample.extension}"
    path.write_bytes(sample.data)
    return path
