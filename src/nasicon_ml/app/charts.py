"""Altair charts: curves with bands and measured pellets, maps, bars and scatter plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from nasicon_ml.columns import CONDUCTIVITY_INTERVAL, DENSITY_INTERVAL, Column
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.plots.style import BLUE, DENSITY_MAP, GREEN, ORANGE, VERMILION

#: Columns of each answer and its interval, and the axis title.
ANSWERED: Mapping[TargetName, tuple[tuple[Column, ...], str]] = {
    TargetName.CONDUCTIVITY: (CONDUCTIVITY_INTERVAL, "conductivity (S/cm)"),
    TargetName.RELATIVE_DENSITY: (DENSITY_INTERVAL, "relative density (%)"),
    TargetName.PHASE_PURITY: ((Column.PREDICTED_PHASE_PURITY,), "probability of purity"),
}  # fmt: skip
#: The SVG renderer makes points and bars accessible to screen readers.
_OPTIONS = {"embedOptions": {"renderer": "svg"}}
_OWNER_SCALE = alt.Scale(domain=["literature", "your pellets"], range=[ORANGE, VERMILION])
#: Axes are logarithmic above this ratio of the largest to the smallest value.
_LOG_RATIO = 20.0


def scale(values: pd.Series, **settings: Any) -> alt.Scale:
    """Return the scale of an axis, logarithmic for values that span decades."""
    numbers = values.dropna()
    is_log = len(numbers) > 0 and numbers.min() > 0 and numbers.max() / numbers.min() > _LOG_RATIO
    return alt.Scale(type="log" if is_log else "linear", zero=False, **settings)


def curve(
    name: TargetName, answers: pd.DataFrame, field: str, title: str, points: pd.DataFrame, recipe_value: Any
) -> alt.LayerChart:
    """Draw an answer over a field with its band and the measured pellets.

    `field` is a column of `answers` and of the measured `points`, which have the columns value, target, whose,
    paper, made and link; `recipe_value` is its value in the recipe, None if not given.
    """
    columns, axis_title = ANSWERED[name]
    is_number = pd.api.types.is_numeric_dtype(answers[field])
    x_scale = scale(pd.concat([answers[field], points[field]])) if is_number else alt.Undefined
    x = alt.X(f"{field}:{'Q' if is_number else 'N'}", title=title, scale=x_scale, sort=None)
    is_purity = name is TargetName.PHASE_PURITY
    y_scale = {
        TargetName.CONDUCTIVITY: alt.Scale(type="log"),
        TargetName.RELATIVE_DENSITY: alt.Scale(zero=False),
        TargetName.PHASE_PURITY: alt.Scale(domain=[0, 1]),
    }[name]
    axis = alt.Axis(format="%" if is_purity else ".0e" if name is TargetName.CONDUCTIVITY else ".0f")
    y = alt.Y(f"{columns[0]}:Q", title=axis_title, scale=y_scale, axis=axis)
    base = alt.Chart(answers).encode(x=x)
    layers: list[alt.Chart] = []
    if len(columns) == 3:
        band = base.mark_area(opacity=0.22, color=BLUE) if is_number else base.mark_rule(opacity=0.4, size=6)
        layers.append(band.encode(y=alt.Y(f"{columns[1]}:Q", title=axis_title, scale=y_scale, axis=axis),
                                  y2=f"{columns[2]}:Q"))  # fmt: skip
    tooltips = [
        alt.Tooltip(field, title=title),
        *(alt.Tooltip(f"{column}:Q", format=".3~g") for column in columns),
    ]
    line = base.mark_line(color=BLUE, point={"color": BLUE, "size": 14}) if is_number else base.mark_point(
        color=BLUE, filled=True, size=60
    )  # fmt: skip
    layers.append(line.encode(y=y, tooltip=tooltips))
    if recipe_value is not None:
        rule = alt.Chart(pd.DataFrame({field: [recipe_value]})).mark_rule(color=GREEN, strokeDash=[4, 3])
        layers.append(rule.encode(x=x))
    measured = points[points["target"] == str(name)]
    if len(measured):
        marks = alt.Chart(measured).mark_point(filled=True, size=55, opacity=0.85)
        layers.append(
            marks.encode(
                x=x, y=alt.Y("value:Q", scale=y_scale), href="link:N",
                color=alt.Color("whose:N", scale=_OWNER_SCALE, legend=None), tooltip=_point_tooltips(title, field),
            )
        )  # fmt: skip
    height = 300 if name is TargetName.CONDUCTIVITY else 210
    return alt.layer(*layers).properties(height=height, usermeta=_OPTIONS)


def _point_tooltips(title: str, field: str) -> list[alt.Tooltip]:
    labels = {"paper": "paper", "value": "measured", field: title, "made": "made"}
    return [alt.Tooltip(name, title=label) for name, label in {**labels, Column.PELLET_ID.value: "pellet"}.items()]


def heat_map(answers: pd.DataFrame, first: str, second: str, titles: Sequence[str]) -> alt.Chart:
    """Draw the conductivity over the columns `first` and `second`."""
    column = Column.PREDICTED_CONDUCTIVITY_S_CM.value
    colour = alt.Color(
        f"{column}:Q",
        title="S/cm",
        scale=alt.Scale(type="log", scheme=DENSITY_MAP),
        legend=alt.Legend(format=".0e"),
    )
    density, purity = Column.PREDICTED_RELATIVE_DENSITY_PCT.value, Column.PREDICTED_PHASE_PURITY.value
    tooltips = [
        alt.Tooltip(first, title=titles[0]), alt.Tooltip(second, title=titles[1]),
        alt.Tooltip(column, title="S/cm", format=".2e"), alt.Tooltip(density, title="dense, %", format=".1f"),
        alt.Tooltip(purity, title="pure", format=".0%"),
    ]  # fmt: skip
    return (
        alt.Chart(answers)
        .mark_rect()
        .encode(
            x=alt.X(f"{first}:O", title=titles[0], axis=alt.Axis(labelOverlap=True)),
            y=alt.Y(f"{second}:O", title=titles[1], sort="descending", axis=alt.Axis(labelOverlap=True)),
            color=colour, tooltip=tooltips,
        )
        .properties(height=320, usermeta=_OPTIONS)
    )  # fmt: skip


def bars(parts: pd.DataFrame, unit: str) -> alt.Chart:
    """Draw the contributions of the parts of a recipe (columns part and contribution)."""
    return (
        alt.Chart(parts)
        .mark_bar()
        .encode(
            x=alt.X("contribution:Q", title=unit),
            y=alt.Y("part:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)),
            color=alt.condition("datum.contribution > 0", alt.value(BLUE), alt.value(VERMILION)),
            tooltip=[alt.Tooltip("part"), alt.Tooltip("contribution", format="+.2f")],
        )
        .properties(usermeta=_OPTIONS)
    )  # fmt: skip


def scatter(pellets: pd.DataFrame, across: tuple[str, str], up: tuple[str, str]) -> alt.Chart:
    """Draw pellets over two columns (name and title each), coloured by system."""
    column = Column.SYSTEM.value
    largest = pellets[column].value_counts().index[:8]
    shown = pellets[[across[0], up[0], column, Column.FORMULA.value, Column.SOURCE.value]].copy()
    shown[column] = shown[column].where(shown[column].isin(largest), "others")
    (x, x_title), (y, y_title) = across, up
    labels = {column.value: column.axis_label for column in Column}
    tooltips = [alt.Tooltip(name, title=labels[name]) for name in map(str, shown)]
    y_scale = scale(shown[y])
    y_format = ".0e" if y_scale.type == "log" else ".3~g"
    return (
        alt.Chart(shown)
        .mark_point(filled=True, size=40, opacity=0.7)
        .encode(
            x=alt.X(f"{x}:Q", title=x_title, scale=scale(shown[x])),
            y=alt.Y(f"{y}:Q", title=y_title, scale=y_scale, axis=alt.Axis(format=y_format)),
            color=alt.Color(f"{column}:N", title=Column.SYSTEM.label), tooltip=tooltips,
        )
        .properties(height=380, usermeta=_OPTIONS)
    )  # fmt: skip
