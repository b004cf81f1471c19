"""Malformed files: what spreadsheets, other programs, broken disks and strangers make of a table of recipes."""

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
    """A file: the ending of its name, its bytes, and how many recipes it has, if that is certain."""

    ending: str
    data: bytes
    recipes: int | None = None
    damage: str = ""


#: What people and programs write into a cell of numbers.
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
def rows(draw: st.DrawFn) -> Rows:
    """Draw a header and some good rows."""
    count = draw(st.integers(1, 4))
    body = [
        [draw(st.sampled_from(["LATP x=0.3", "LAGP x=0.5", "NZSP", "LiTi2(PO4)3"])), str(700 + 50 * row), "2",
        "air", f"p{row}"]
        for row in range(count)
    ]  # fmt: skip
    return [list(HEADER), *body]


def text_of(table: Rows, separator: str = ",", end: str = "\n") -> str:
    """Write a table with quotation marks where they are needed."""

    def cell(text: str) -> str:
        quoted = any(sign in text for sign in f'{separator}"\n\r')
        return '"' + text.replace('"', '""') + '"' if quoted else text

    return end.join(separator.join(map(cell, row)) for row in table) + end


def encoded(text: str) -> bytes:
    """Give UTF-8, with halves of characters as programs without care write them."""
    return text.encode("utf-8", errors="surrogatepass")


@st.composite
def odd_cells(draw: st.DrawFn) -> Sample:
    """Draw a CSV whose form is right, with odd cells."""
    table = draw(rows())
    for _ in range(draw(st.integers(1, 3))):
        row = draw(st.integers(1, len(table) - 1))
        column = draw(st.integers(0, len(HEADER) - 1))
        odd = odd_formula if column == 0 else st.sampled_from(ODD_CELLS) | odd_text
        table[row][column] = draw(odd)
    text = text_of(table)
    certain = all(any(cell.strip() for cell in row) for row in table) and "\0" not in text
    certain = certain and not any("\ud800" <= char <= "\udfff" for char in text)
    return Sample("csv", encoded(text), len(table) - 1 if certain else None, "cells")


@st.composite
def odd_headers(draw: st.DrawFn) -> Sample:
    """Draw a CSV with columns that are unknown, doubled, nameless, endless or far too many."""
    table = draw(rows())
    name = draw(odd_name | st.sampled_from([*HEADER, "a" * 100_000, "(" * 100_000, "=1+1"]))
    change = draw(st.sampled_from(["rename", "double", "drop", "none", "numbers"]))
    place = draw(st.integers(0, len(HEADER) - 1))
    if change == "rename":
        table[0][place] = name
    elif change == "double":
        table = [[*row, row[place]] for row in table]
    elif change == "drop":
        table = [[cell for position, cell in enumerate(row) if position != place] for row in table]
    elif change == "none":
        table = table[1:]
    else:
        table[0] = [str(number) for number in range(len(HEADER))]
    return Sample("csv", encoded(text_of(table)), damage=f"header: {change}")


def _utf16(text: str) -> bytes:
    return text.encode("utf-16")


#: Ways in which a whole CSV goes wrong.
DAMAGES: dict[str, Callable[[str], bytes]] = {
    "UTF-16": _utf16,
    "UTF-16-LE": lambda text: text.encode("utf-16-le"),
    "UTF-16-BE": lambda text: text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "UTF-7": lambda text: text.replace("air", "µ").encode("utf-7"),
    "Latin-1": lambda text: text.replace("air", "Ar µ°é").encode("latin-1"),
    "EBCDIC": lambda text: text.encode("cp500"),
    "two marks": lambda text: codecs.BOM_UTF8 * 2 + text.encode(),
    "mark inside": lambda text: text.replace("\n", "\n\ufeff", 1).encode(),
    "surrogates": lambda text: text.replace("air", "\ud800").encode("utf-8", "surrogatepass"),
    "overlong": lambda text: text.replace("air", "a").encode() + b"\xc0\xaf,1\n",
    "NUL": lambda text: text.replace("air", "a\0r").encode(),
    "NULs": lambda _: b"\0" * 5000,
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "pipes": lambda text: text.replace(",", "|").encode(),
    "sep=": lambda text: b"sep=,\n" + text.encode(),
    "decimal commas": lambda text: text.replace("2,air", "2,5,air").encode(),
    "mixed ends": lambda text: text.replace("\n", "\r\n", 1).replace("air", "air\r").encode(),
    "long row": lambda text: text.encode() + b"LTP,1,2,air,p,q,r\n",
    "endless row": lambda text: text.encode() + b"," * 300_000 + b"x\n",
    "short row": lambda text: text.encode() + b"LTP\n",
    "open quote": lambda text: text.replace("air", '"air', 1).encode(),
    "quote inside": lambda text: text.replace("air", 'a"i"r').encode(),
    "quote after": lambda text: text.replace("air", '"air"x').encode(),
    "open quote, long": lambda text: (text + '"' + "a,b\n" * 50_000).encode(),
    "backslashes": lambda text: text.replace("air", 'a\\"ir').encode(),
    "no header": lambda text: text.split("\n", 1)[1].encode(),
    "header alone": lambda text: text.split("\n", 1)[0].encode(),
    "header twice": lambda text: (text.split("\n", 1)[0] + "\n" + text).encode(),
    "two tables": lambda text: (text + "\n" + text).encode(),
    "comment": lambda text: b"# made by a program\n" + text.encode(),
    "blank": lambda _: b" \n\t\n,,,\n",
    "nothing": lambda _: b"",
    "one byte": lambda _: b"\xff",
    "long cell": lambda text: text.replace("air", "a" * 1_000_000).encode(),
    "long cells": lambda text: text.replace("air", "a" * 130_000).encode(),
    "100,000 columns": lambda text: _wider(text, 100_000),
    "400 columns": lambda text: _wider(text, 390),
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


def _wider(text: str, columns: int) -> bytes:
    header = text.split("\n", 1)[0]
    return f"{header},{','.join(f'sintering{number}' for number in range(columns))}\n".encode()


def _sqlite() -> bytes:
    with sqlite3.connect(":memory:") as store:
        store.execute("create table t (formula)")
        return store.serialize()


@st.composite
def damaged_csv(draw: st.DrawFn) -> Sample:
    """Draw a CSV that has suffered as a whole; under any ending, as people rename files."""
    damage = draw(st.sampled_from(sorted(DAMAGES)))
    ending = draw(st.sampled_from(["csv", "csv", "csv", "csv", "json", "yaml", "parquet"]))
    return Sample(ending, DAMAGES[damage](text_of(draw(rows()))), damage=damage)


@st.composite
def flipped(draw: st.DrawFn) -> Sample:
    """Draw a file with bytes changed, cut out or cut off."""
    ending = draw(st.sampled_from(["csv", "json", "yaml", "parquet"]))
    data = bytearray(_written(draw(rows()), ending))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data) - 1))
        length = draw(st.sampled_from([0, 1, 1, 1, 5, 200]))
        data[place : place + length] = draw(st.binary(max_size=4))
        if not data:
            break
    return Sample(ending, bytes(data), damage="bytes")


def _written(table: Rows, ending: str) -> bytes:
    frame = pd.DataFrame(table[1:], columns=table[0])
    if ending == "csv":
        return text_of(table).encode()
    if ending == "json":
        return json.dumps(frame.to_dict("records")).encode()
    if ending == "yaml":
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
#: Nine levels of nine: written out, it would fill any memory.
BOMB = "formula0: &a0 [x]\n" + "".join(f"f{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
YAML_TABLES = [
    BOMB, BOMB + "formula: *a11\n", f"- formula: LTP\n- {{additive: {BOMB.splitlines()[0][10:]}}}",
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
def structured(draw: st.DrawFn) -> Sample:
    """Draw JSON and YAML that is none, is no table, or would like to be more than one."""
    ending, texts = draw(st.sampled_from([("json", JSON_TABLES), ("yaml", YAML_TABLES)]))
    text = draw(st.sampled_from(texts) | damaged(_items(ending), '{}[]",:&*!|>\\\t\x00\ud800'))
    return Sample(ending, encoded(text), damage=ending)


def _items(ending: str) -> st.SearchStrategy[str]:
    write: Callable[[Any], str] = (
        json.dumps if ending == "json" else lambda items: "\n".join(f"- {json.dumps(item)}" for item in items)
    )
    return st.lists(recipe_fields(), min_size=1, max_size=3).map(write)


#: Cells of a Parquet file, which may have any type.
TYPED: list[Any] = [
    [True], [b"800"], [pd.Timestamp("2020-01-01")], [pd.Timedelta("1h")], [{"a": 1}], [[800.0]], [None],
    [float("inf")], [1 + 0j],
    [2**62], ["800"], ["\x1b[2J"], [pd.Period("2020-01")], ["=1+1"], ["a" * 100_000],
]  # fmt: skip


@st.composite
def parquet(draw: st.DrawFn) -> Sample:
    """Draw a Parquet file with columns of types that no recipe has."""
    name = draw(st.sampled_from([column.value for column in (*RECIPE, Column.PELLET_ID, Column.NOTES)]))
    frame = pd.DataFrame({"formula": ["LTP"]}).assign(**{name: draw(st.sampled_from(TYPED))})
    buffer = io.BytesIO()
    try:
        frame.to_parquet(buffer)
    except (ValueError, TypeError, NotImplementedError):  # a type that Parquet has not
        frame[name] = frame[name].astype(str)
        buffer = io.BytesIO()
        frame.to_parquet(buffer)
    return Sample("parquet", buffer.getvalue(), 1, f"type of {name}")


any_file = st.one_of(
    odd_cells(), odd_cells(), odd_headers(), damaged_csv(), damaged_csv(), flipped(), structured(), parquet()
)


def write(sample: Sample, folder: Path) -> Path:
    """Put a file into the folder."""
    path = folder / f"table.{sample.ending}"
    path.write_bytes(sample.data)
    return path
