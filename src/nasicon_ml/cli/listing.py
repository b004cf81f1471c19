"""Prints a table: with lines on a terminal, as plain aligned text into a file or pipe, where no value is cut."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import click
import pandas as pd


def cell_text(value: Any) -> str:
    """Write one value for a person: nothing for what is missing, four digits for numbers, words for flags."""
    if value is None or value is pd.NA:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"
    return str(value)


def print_table(frame: pd.DataFrame, title: str = "") -> None:
    """Print a table to standard output.

    Parameters
    ----------
    frame
        Shape (n_rows, n_columns); numbers are set to the right.
    title
        A line above it.
    """
    heads = [str(name) for name in frame.columns]
    rows = [[cell_text(value) for value in row] for row in frame.itertuples(index=False, name=None)]
    right = [frame.iloc[:, position].dtype.kind in "iuf" for position in range(frame.shape[1])]
    if sys.stdout.isatty():
        _print_rich(heads, rows, right, title)
    else:
        _print_plain(heads, rows, right, title)


def _print_rich(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], title: str) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left")
    for head, is_right in zip(heads, right, strict=True):
        table.add_column(escape(head), justify="right" if is_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False).print(table)


def _print_plain(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool], title: str) -> None:
    widths = [max(len(row[position]) for row in [heads, *rows]) for position in range(len(heads))]
    if title:
        click.echo(title)
    for row in [heads, *rows]:
        cells = [
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())
