"""Figures in the browser: curves with bands and measured pellets, maps, bars and scatter plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from nasicon_ml.columns import CONDUCTIVITY_INTERVAL, DENSITY_INTERVAL, Column
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.plots.style import BLUE, DENSITY_MAP, GREEN, ORANGE, VERMILION

#: Answers with the ends of their intervals, and the title of the axis.
ANSWERED: Mapping[TargetName, tuple[tuple[Column, ...], str]] = {
    TargetName.CONDUCTIVITY: (CONDUCTIVITY_INTERVAL, "conductivity (S/cm)"),
    TargetName.RELATIVE_DENSITY: (DENSITY_INTERVAL, "relative density (%)"),
    TargetName.PHASE_PURITY: ((Column.PREDICTED_PHASE_PURITY,), "probability of purity"),
}  # fmt: skip
#: Points and bars are then known to screen readers.
_OPTIONS = {"embedOptions": {"renderer": "svg"}}
_WHOSE = alt.Scale(domain=["literature", "your pellets"], range=[ORANGE, VERMILION])
#: From this ratio of the largest to the smallest on, an axis is logarithmic.
_DECADES = 20.0


def scale(values: pd.Series, **settings: Any) -> alt.Scale:
    """Return the scale of an axis: logarithmic where numbers span decades."""
    numbers = values.dropna()
    is_log = len(numbers) > 0 and numbers.min() > 0 and numbers.max() / numbers.min() > _DECADES
    return alt.Scale(type="log" if is_log else "linear", zero=False, **settings)


def curve(
    name: TargetName, answers: pd.DataFrame, along: str, title: str, points: pd.DataFrame, here: Any
) -> alt.LayerChart:
    """Draw an answer along a field, its band, and what was measured.

    `along` is a column of the answers and of the measured pellets, which have value, target, whose, paper, made
    and link; `here` is its value in the recipe, None where it is not given.
    """
    columns, axis_title = ANSWERED[name]
    is_number = pd.api.types.is_numeric_dtype(answers[along])
    shown = pd.concat([answers[along], points[along]]) if is_number else answers[along]
    x = alt.X(
        f"{along}:{'Q' if is_number else 'N'}", title=title, scale=scale(shown) if is_number else alt.Undefined,
        sort=None,
    )  # fmt: skip
    purity = name is TargetName.PHASE_PURITY
    how = {
        TargetName.CONDUCTIVITY: alt.Scale(type="log"),
        TargetName.RELATIVE_DENSITY: alt.Scale(zero=False),
        TargetName.PHASE_PURITY: alt.Scale(domain=[0, 1]),
    }[name]
    axis = alt.Axis(format="%" if purity else ".0e" if name is TargetName.CONDUCTIVITY else ".0f")
    y = alt.Y(f"{columns[0]}:Q", title=axis_title, scale=how, axis=axis)
    base = alt.Chart(answers).encode(x=x)
    layers: list[alt.Chart] = []
    if len(columns) == 3:
        band = base.mark_area(opacity=0.22, color=BLUE) if is_number else base.mark_rule(opacity=0.4, size=6)
        layers.append(band.encode(y=alt.Y(f"{columns[1]}:Q", title=axis_title, scale=how, axis=axis),
                                  y2=f"{columns[2]}:Q"))  # fmt: skip
    told = [alt.Tooltip(along, title=title), *(alt.Tooltip(f"{column}:Q", format=".3~g") for column in columns)]
    line = base.mark_line(color=BLUE, point={"color": BLUE, "size": 14}) if is_number else base.mark_point(
        color=BLUE, filled=True, size=60
    )  # fmt: skip
    layers.append(line.encode(y=y, tooltip=told))
    if here is not None:
        rule = alt.Chart(pd.DataFrame({along: [here]})).mark_rule(color=GREEN, strokeDash=[4, 3])
        layers.append(rule.encode(x=x))
    mine = points[points["target"] == str(name)]
    if len(mine):
        marks = alt.Chart(mine).mark_point(filled=True, size=55, opacity=0.85)
        layers.append(
            marks.encode(
                x=x, y=alt.Y("value:Q", scale=how), href="link:N",
                color=alt.Color("whose:N", scale=_WHOSE, legend=None), tooltip=_told(title, along),
            )
        )  # fmt: skip
    height = 300 if name is TargetName.CONDUCTIVITY else 210
    return alt.layer(*layers).properties(height=height, usermeta=_OPTIONS)


def _told(title: str, along: str) -> list[alt.Tooltip]:
    """Return what stands beside a measured pellet under the pointer."""
    named = {"paper": "paper", "value": "measured", along: title, "made": "made", Column.PELLET_ID.value: "pellet"}
    return [alt.Tooltip(name, title=words) for name, words in named.items()]


def heat_map(answers: pd.DataFrame, first: str, second: str, titles: Sequence[str]) -> alt.Chart:
    """Draw the conductivity over two fields, which are the columns `first` and `second`."""
    column = Column.PREDICTED_CONDUCTIVITY_S_CM.value
    colour = alt.Color(
        f"{column}:Q",
        title="S/cm",
        scale=alt.Scale(type="log", scheme=DENSITY_MAP),
        legend=alt.Legend(format=".0e"),
    )
    density, purity = Column.PREDICTED_RELATIVE_DENSITY_PCT.value, Column.PREDICTED_PHASE_PURITY.value
    told = [
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
            color=colour, tooltip=told,
        )
        .properties(height=320, usermeta=_OPTIONS)
    )  # fmt: skip


def bars(parts: pd.DataFrame, unit: str) -> alt.Chart:
    """Draw what each part (columns part and contribution) moved an answer by, the strongest first."""
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
    """Draw pellets over two columns (name and title each), coloured by their system."""
    column = Column.SYSTEM.value
    most = pellets[column].value_counts().index[:8]
    shown = pellets[[across[0], up[0], column, Column.FORMULA.value, Column.SOURCE.value]].copy()
    shown[column] = shown[column].where(shown[column].isin(most), "others")
    (x, x_title), (y, y_title) = across, up
    labels = {one.value: one.axis_label for one in Column}
    told = [alt.Tooltip(name, title=labels[name]) for name in map(str, shown)]
    up_scale = scale(shown[y])
    up_format = ".0e" if up_scale.type == "log" else ".3~g"
    return (
        alt.Chart(shown)
        .mark_point(filled=True, size=40, opacity=0.7)
        .encode(
            x=alt.X(f"{x}:Q", title=x_title, scale=scale(shown[x])),
            y=alt.Y(f"{y}:Q", title=y_title, scale=up_scale, axis=alt.Axis(format=up_format)),
            color=alt.Color(f"{column}:N", title=Column.SYSTEM.label), tooltip=told,
        )
        .properties(height=380, usermeta=_OPTIONS)
    )  # fmt: skip
