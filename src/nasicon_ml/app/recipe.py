"""The page of one recipe: a form, and beside it the answers, curves, a map and what moved them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from nasicon_ml.app.form import recipe_form
from nasicon_ml.app.session import escaped, model, own, subscripted, told
from nasicon_ml.cli.answers import Answer, build_answers
from nasicon_ml.cli.formatting import (
    describe_conditions,
    describe_origin,
    describe_results,
    fixed,
    format_level,
    percent,
    scientific,
)
from nasicon_ml.cli.inputs import Inputs, expand_recipe
from nasicon_ml.cli.render import describe_charge, describe_measured_alike, describe_sites, printable
from nasicon_ml.columns import ADDITIVE, RECIPE, Column, Kind
from nasicon_ml.data.citing import citation
from nasicon_ml.data.load import load_sources
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.targets import TargetName
from nasicon_ml.io import table_records
from nasicon_ml.workflows.explain import explain_prediction
from nasicon_ml.workflows.predict import Prediction, predict
from nasicon_ml.workflows.profile import Profile, profile

#: Points of a curve, and of each side of the map.
_POINTS, _SIDE = 25, 13
#: The ranges of x that a map shows, and of its temperatures around that of the recipe in °C.
_ENDS_OF_X, _AROUND_C = (0.6, 1.0, 2.0, 3.0), 150.0
_SHOWN_PARTS, _RULES = 8, 2
_NEAREST = 5
_AT = Column.MEASUREMENT_TEMPERATURE_C.value


def show() -> None:
    """Show the page."""
    left, right = st.columns([1, 2], gap="large")
    with left:
        given = recipe_form()
    if given is None:
        right.info("A field is not accepted: see the form.")
        return
    with right, told():
        at_c, level = given.pop(_AT, None), float(st.session_state["level"])
        fields = {name: value for name, value in given.items() if name != Column.FORMULA}
        if not given.get(Column.FORMULA):
            raise FieldError(Column.FORMULA.value, "", "a formula or a shorthand, such as LATP x=0.3")
        inputs = expand_recipe(given[Column.FORMULA], None, {}, fields)
        prediction = predict(inputs.table, model(), level=level, at_c=at_c, own=own(), neighbours=_NEAREST)
        answer = build_answers(inputs, prediction, _NEAREST)[0]
        _answer(answer, inputs, level)
        with told():
            _curves(answer, given, level, at_c)
        with told():
            _nearest(answer)
        with told():
            _map(answer, given, at_c)
        with told():
            _moved(prediction)


def _answer(answer: Answer, inputs: Inputs, level: float) -> None:
    composition = answer.composition
    st.header(f"{subscripted(composition.formula)}, {composition.system}, x = {composition.x:.4g}")
    st.caption(escaped(f"{describe_sites(composition)}; charge {printable(describe_charge(composition))}"))
    for finding in inputs.warnings:
        st.warning(escaped(finding.message))
    if not answer.inside_domain:
        st.warning(escaped("Outside the known domain, trust the numbers less: " + "; ".join(answer.domain_notes)))
    sigma, density, sure = answer.conductivity_s_cm, answer.relative_density_pct, format_level(level)
    first, second, third = st.columns(3)
    first.metric(
        f"Conductivity, {answer.temperature_c:g} °C (S/cm)", scientific(sigma.value),
        f"{sure}: {scientific(sigma.lower)} to {scientific(sigma.upper)}", delta_color="off", delta_arrow="off",
    )  # fmt: skip
    second.metric(
        "Relative density", f"{fixed(density.value)} %",
        f"{sure}: {fixed(density.lower)} to {fixed(density.upper)}", delta_color="off", delta_arrow="off",
    )  # fmt: skip
    third.metric(
        "Phase purity", percent(answer.phase_purity), f"Eₐ {fixed(answer.activation_energy_ev, 2)} eV",
        delta_color="off", delta_arrow="off",
    )  # fmt: skip
    if answer.own is not None:
        moved = f"your pellets moved it by {answer.own.decades:+.2f} decades, {answer.own.points:+.1f} points"
        st.info(escaped(f"{moved} and {100 * answer.own.purity:+.0f} percentage points of purity"))
    phases = ", ".join(answer.secondary_phases) or "none named by the nearest pellets"
    lines = [f"if not pure, likely: {phases}"]
    lines += [f"measured like this: {text}" for text in describe_measured_alike(answer)]
    if answer.not_given:
        lines.append(f"not given, which widens the intervals: {', '.join(c.label for c in answer.not_given)}")
    st.markdown("\n".join(f"- {escaped(line)}" for line in lines))
    if answer.broken_rules:
        statements = [f"- {escaped(text)}" for text in answer.broken_rules.values()]
        more = [f"- and {len(statements) - _RULES} more"] if len(statements) > _RULES else []
        listed = "\n".join([*statements[:_RULES], *more])
        st.warning(f"The model does not see what the literature states:\n{listed}")


def _curves(answer: Answer, given: dict[str, Any], level: float, at_c: float | None) -> None:
    """Show the answers along a field."""
    from nasicon_ml.app.charts import ANSWERED, curve

    offered = [c for c in RECIPE if c.kind is Kind.NUMBER or c.choices]
    offered = [c for c in offered if c not in ADDITIVE]
    names = {column.axis_label: column for column in offered}
    start = [*names.values()].index(Column.SINTERING_TEMPERATURE_C)
    along = names[st.selectbox("Curve over", [*names], start, key="along", bind="query-params")]
    values = _values(along, answer)
    found = profile(**_varied(given, {along.value: values}), model=model(), level=level, at_c=at_c, own=own())
    table, points = found.frame(), _points(found, along.value)
    first, *others = ANSWERED
    places = {first: st.container(), **dict(zip(others, st.columns(2), strict=True))}
    for name, place in places.items():
        drawn = curve(name, table, along.value, along.axis_label, points, given.get(along.value))
        place.altair_chart(drawn, alt=f"{ANSWERED[name][1]} over {along.axis_label}, with intervals")
    st.caption(
        "Line and band: the model and its intervals. Dots: measured pellets of this composition; a click opens the"
        " paper. Dashed: this recipe."
    )


def _varied(given: dict[str, Any], several: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe as `profile` takes it, some fields with several values."""
    fields = {**given, **several}
    return {"recipe": fields.pop(Column.FORMULA.value), **fields}


def _values(along: Column, answer: Answer) -> list[Any]:
    """Return the values of a curve: choices, or what pellets of the same system were made with."""
    if along.choices:
        return list(along.choices)
    pellets = model().pellets
    like = pellets.loc[pellets[Column.SYSTEM] == answer.composition.system, along].dropna()
    cells = like if len(like) > _POINTS else pellets[along].dropna()
    low, high = (float(cells.quantile(share)) for share in (0.05, 0.95))
    here = answer.recipe.get(along.value)
    low, high = min(low, here or low), max(high, here or high)
    is_log = low > 0 and high / low > 20
    spread = np.geomspace(low, high, _POINTS) if is_log else np.linspace(low, high, _POINTS)
    rounded = [float(f"{value:.3g}") for value in spread]
    inside = [min(max(value, along.minimum), along.maximum) for value in rounded]
    return sorted({*inside, *([here] if here is not None else [])})


def _points(found: Profile, along: str) -> pd.DataFrame:
    """Return measured pellets with paper and link, whose they are and how they were made."""
    sources = load_sources().set_index(Column.SOURCE.value)
    papers = {source: citation(row) for source, row in zip(sources.index, table_records(sources), strict=True)}
    literature = found.literature.assign(whose="literature")
    links = "https://doi.org/" + sources[Column.DOI].str.split(";").str[0]
    literature = literature.assign(
        link=literature[Column.SOURCE].map(links),
        paper=literature[Column.SOURCE].map(papers).fillna(literature[Column.SOURCE]),
    )
    mine = found.own.assign(whose="your pellets", link=None, paper="your pellets")
    points = pd.concat([literature, mine], ignore_index=True) if len(mine) else literature
    return points[[along, "target", "value", "whose", "link", "paper", "made", Column.PELLET_ID.value]]


def _map(answer: Answer, given: dict[str, Any], at_c: float | None) -> None:
    """Show the conductivity over x and the sintering temperature."""
    from nasicon_ml.app.charts import heat_map

    st.header("Map of x against sintering temperature")
    temperature, composition = Column.SINTERING_TEMPERATURE_C.value, answer.composition
    ends = [end for end in _ENDS_OF_X if end >= composition.x]
    middle = given.get(temperature, 900.0)
    low, high = max(middle - _AROUND_C, Column.SINTERING_TEMPERATURE_C.minimum), middle + _AROUND_C
    several = {
        "x": np.round(np.linspace(0, ends[0] if ends else composition.x, _SIDE), 3).tolist(),
        temperature: np.round(np.linspace(low, min(high, 1700.0), _SIDE)).tolist(),
    }
    recipe = _varied(given, {Column.FORMULA.value: composition.system, **several})
    try:
        found = profile(**recipe, model=model(), at_c=at_c, own=own())
    except FieldError:
        st.caption(escaped(f"There is none: {composition.system} has no x that could be varied."))
        return
    titles = (f"x in {composition.system}", Column.SINTERING_TEMPERATURE_C.axis_label)
    st.altair_chart(heat_map(found.frame(), "x", temperature, titles), alt="Conductivity over x and temperature")


def _moved(prediction: Prediction) -> None:
    """Show what moved the answers."""
    from nasicon_ml.app.charts import bars

    st.header("What moved the answer")
    parts = explain_prediction(prediction)
    names = {TargetName.CONDUCTIVITY: "Conductivity", TargetName.RELATIVE_DENSITY: "Density",
             TargetName.PHASE_PURITY: "Purity"}  # fmt: skip
    for tab, (name, label) in zip(st.tabs(list(names.values())), names.items(), strict=True):
        mine = parts[parts["target"] == str(name)].head(_SHOWN_PARTS)
        unit = mine["unit"].iloc[0]
        with tab:
            st.altair_chart(
                bars(mine[["part", "contribution"]].assign(part=mine["part"].map(_in_words)), unit),
                alt=f"What moved {label.lower()}",
            )
            base, predicted = mine["base"].iloc[0], mine["predicted"].iloc[0]
            st.caption(escaped(
                f"From the average pellet ({base:.3g}) to this answer ({predicted:.3g}), in the model."
            ))  # fmt: skip


def _in_words(part: str) -> str:
    """Return a part with its fields called as the form calls them."""
    labels = {column.value: column.axis_label for column in RECIPE}
    return re.sub(r"\b\w+(?= = )", lambda found: labels.get(found[0], found[0]), part)


def _nearest(answer: Answer) -> None:
    """Show the nearest measured pellets."""
    st.header("Nearest measured pellets")
    rows = [
        {
            "distance": round(neighbour.distance, 2), "composition": neighbour.cells[Column.FORMULA],
            "measured": describe_results(neighbour.cells), "published": describe_origin(neighbour.cells),
            "made": describe_conditions(neighbour.cells),
        }
        for neighbour in answer.neighbours
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    table["paper"] = table["published"].str.extract(r"(https://doi\.org/\S+)", expand=False)
    order = ["composition", "measured", "paper", "made", "distance", "published"]
    link = st.column_config.LinkColumn("paper", display_text=r"https://doi\.org/(.*)")
    st.dataframe(table, hide_index=True, column_config={"paper": link}, column_order=order)
