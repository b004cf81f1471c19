"""Predictions as a notebook shows them: a table with numbers, and a bar behind each for where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import CONDUCTIVITY_INTERVAL, DENSITY_INTERVAL, MODEL_INPUT, Column, Kind, is_missing

if TYPE_CHECKING:
    from nasicon_ml.workflows.predict import Prediction

#: More rows than this are counted, not shown.
MOST_ROWS = 30
#: What is added, in the order of speech; with the formula, what a pellet is made of.
_ADDED = (Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT, Column.ADDITIVE)
_WHAT = (Column.FORMULA, *_ADDED)
_BAR, _PALE = "#0072B255", "#E69F0066"


def prediction_html(prediction: Prediction) -> str:
    """Return predictions as an HTML table; every text of the recipes is escaped.

    Behind conductivity and density lies their interval, on the range of the rows shown; behind the purity its
    probability.
    """
    shown = prediction.frame().head(MOST_ROWS)
    columns = [
        _recipes(shown),
        _intervals(shown, CONDUCTIVITY_INTERVAL, "{:.1e}", np.log10),
        _intervals(shown, DENSITY_INTERVAL, "{:.1f}", np.asarray),
        _purities(shown),
        ("inside" if inside else "<b>OUTSIDE</b>" for inside in shown[Column.INSIDE_DOMAIN]),
    ]
    heads = [
        "recipe",
        f"{Column.PREDICTED_CONDUCTIVITY_S_CM.axis_label}, {100 * prediction.level:g} % interval",
        f"{Column.PREDICTED_RELATIVE_DENSITY_PCT.axis_label}, {100 * prediction.level:g} % interval",
        Column.PREDICTED_PHASE_PURITY.axis_label,
        "known domain",
    ]
    rows = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in zip(*columns, strict=True))
    left = len(prediction.recipes) - len(shown)
    more = f"<p>... and {left:,} more recipes</p>" if left else ""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _cell(content: str) -> str:
    return content if content.startswith("<td") else f"<td>{content}</td>"


def _recipes(shown: pd.DataFrame) -> Iterator[str]:
    """Yield the formula of each recipe, and below all that is known of its making."""
    for row in shown.to_dict("records"):
        stated = [_stated(column, row.get(column.value)) for column in MODEL_INPUT if column not in _WHAT]
        if not is_missing(row[Column.ADDITIVE]):
            stated.insert(
                0, " ".join(["with", *filter(None, (_stated(column, row[column]) for column in _ADDED))])
            )
        making = escape(", ".join(part for part in stated if part))
        yield f'<td style="text-align:left"><b>{escape(str(row[Column.FORMULA]))}</b><br/>{making}</td>'


def _stated(column: Column, value: Any) -> str:
    if is_missing(value):
        return ""
    if column.kind is Kind.NUMBER:
        return f"{value:g} {column.unit}".rstrip()
    return f"{column.label}: {value}" if column.kind is Kind.FLAG else str(value).replace("_", " ")


def _intervals(
    shown: pd.DataFrame, columns: tuple[Column, Column, Column], form: str, scale: Callable[[Any], NDArray[Any]]
) -> Iterator[str]:
    """Yield a value with its interval (columns: value, lower, upper), which is also drawn behind it."""
    numbers = shown[list(columns)].to_numpy(dtype=np.float64)
    places = scale(numbers)
    first, last = np.nanmin(places), np.nanmax(places)
    shares = 100 * (places - first) / ((last - first) or 1.0)
    for (value, low, high), (_, start, end) in zip(numbers.tolist(), shares.tolist(), strict=True):
        words = f"{form.format(value)}<br/><small>{form.format(low)} to {form.format(high)}</small>"
        yield _barred(words, start, end, _BAR)


def _purities(shown: pd.DataFrame) -> Iterator[str]:
    for value in shown[Column.PREDICTED_PHASE_PURITY].to_numpy(dtype=np.float64):
        yield _barred(f"{100 * value:.0f} %", 0.0, 100 * value, _PALE)


def _barred(words: str, start: float, end: float, colour: str) -> str:
    stops = f"transparent {start:.0f}%, {colour} {start:.0f}%, {colour} {end:.0f}%, transparent {end:.0f}%"
    return f'<td style="background:linear-gradient(90deg, {stops})">{words}</td>'
