"""The page of one recipe: a form, the answers, curves, a map, an explanation and the nearest pellets."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from nasicon_ml.app.form import recipe_form
from nasicon_ml.app.session import escaped, model, own, show_errors, subscripted
from nasicon_ml.cli.answers import Answer, build_answers
from nasicon_ml.cli.formatting import (
    describe_conditions,
    describe_origin,
    describe_results,
    fixed,
    format_level,
    percent,
    scientific,
    scientific_range,
    short_target,
)
from nasicon_ml.cli.inputs import Inputs, expand_recipe
from nasicon_ml.cli.render import describe_charge, describe_measured_alike, describe_sites, printable
from nasicon_ml.columns import ADDITIVE, RECIPE, Column, Kind
from nasicon_ml.data.citing import citation
from nasicon_ml.data.load import load_sources
from nasicon_ml.errors import FieldError
from nasicon_ml.estimators.targets import ANSWERS
from nasicon_ml.io import table_records
from nasicon_ml.workflows.explain import explain_prediction
from nasicon_ml.workflows.predict import Prediction, predict
from nasicon_ml.workflows.profile import Profile, profile

#: Number of points of a curve, and of each side of the map.
_POINTS, _SIDE = 25, 13
#: Upper limits of x in the map, and the half width of its range of temperatures in °C.
_X_LIMITS, _HALF_WIDTH_C = (0.6, 1.0, 2.0, 3.0), 150.0
_SHOWN_PARTS, _SHOWN_RULES = 8, 2
_NEAREST = 5
_TEMPERATURE = Column.MEASUREMENT_TEMPERATURE_C.value


def show() -> None:
    """Show the page."""
    left, right = st.columns([1, 2], gap="large")
    with left:
        given = recipe_form()
    if given is None:
        right.info("A field is not accepted: see the form.")
        return
    with right, show_errors():
        at_c, level = given.pop(_TEMPERATURE, None), float(st.session_state["level"])
        fields = {name: value for name, value in given.items() if name != Column.FORMULA}
        if not given.get(Column.FORMULA):
            raise FieldError(Column.FORMULA.value, "", "a formula or a shorthand, such as LATP x=0.3")
        inputs = expand_recipe(given[Column.FORMULA], None, {}, fields)
        prediction = predict(inputs.table, model(), level=level, at_c=at_c, own=own(), neighbours=_NEAREST)
        answer = build_answers(inputs, prediction, _NEAREST)[0]
        _show_answer(answer, inputs, level)
        with show_errors():
            _show_curves(answer, given, level, at_c)
        with show_errors():
            _show_neighbours(answer)
        with show_errors():
            _show_map(answer, given, at_c)
        with show_errors():
            _show_explanation(prediction)


def _show_answer(answer: Answer, inputs: Inputs, level: float) -> None:
    composition = answer.composition
    st.header(f"{subscripted(composition.formula)}, {composition.system}, x = {composition.x:.4g}")
    st.caption(escaped(f"{describe_sites(composition)}; charge {printable(describe_charge(composition))}"))
    for finding in inputs.warnings:
        st.warning(escaped(finding.message))
    if not answer.inside_domain:
        st.warning(escaped("Outside the known domain, trust the numbers less: " + "; ".join(answer.domain_notes)))
    sigma, density, level_text = answer.conductivity_s_cm, answer.relative_density_pct, format_level(level)
    first, second, third = st.columns(3)
    first.metric(
        f"Conductivity, {answer.temperature_c:g} °C (S/cm)", scientific(sigma.value),
        f"{level_text}: {scientific_range(sigma.lower, sigma.upper)}", delta_color="off", delta_arrow="off",
    )  # fmt: skip
    second.metric(
        "Relative density", f"{fixed(density.value)} %",
        f"{level_text}: {fixed(density.lower)} to {fixed(density.upper)}", delta_color="off", delta_arrow="off",
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
        more = [f"- and {len(statements) - _SHOWN_RULES} more"] if len(statements) > _SHOWN_RULES else []
        listed = "\n".join([*statements[:_SHOWN_RULES], *more])
        st.warning(f"The model does not see what the literature states:\n{listed}")


def _show_curves(answer: Answer, given: dict[str, Any], level: float, at_c: float | None) -> None:
    """Show the answers over one field."""
    from nasicon_ml.app.charts import ANSWERED, curve

    labels = {c.axis_label: c for c in RECIPE if (c.kind is Kind.NUMBER or c.choices) and c not in ADDITIVE}
    default = [*labels.values()].index(Column.SINTERING_TEMPERATURE_C)
    field = labels[st.selectbox("Curve over", [*labels], default, key="along", bind="query-params")]
    recipe = _profile_arguments(given, {field.value: _curve_values(field, answer)})
    result = profile(**recipe, model=model(), level=level, at_c=at_c, own=own())
    table, points = result.frame(), _measured_points(result, field.value)
    first, *others = ANSWERED
    containers = {first: st.container(), **dict(zip(others, st.columns(2), strict=True))}
    for name, container in containers.items():
        chart = curve(name, table, field.value, field.axis_label, points, given.get(field.value))
        container.altair_chart(chart, alt=f"{ANSWERED[name][1]} over {field.axis_label}, with intervals")
    st.caption(
        "Line and band: the model and its intervals. Dots: measured pellets of this composition; a click opens the"
        " paper. Dashed: this recipe."
    )


def _profile_arguments(given: dict[str, Any], varied: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of `profile` for a recipe with several values of the varied fields."""
    fields = {**given, **varied}
    return {"recipe": fields.pop(Column.FORMULA.value), **fields}


def _curve_values(field: Column, answer: Answer) -> list[Any]:
    """Return the values of a curve: the choices of a field, or the range among pellets of the same system."""
    if field.choices:
        return list(field.choices)
    pellets = model().pellets
    of_system = pellets.loc[pellets[Column.SYSTEM] == answer.composition.system, field].dropna()
    cells = of_system if len(of_system) > _POINTS else pellets[field].dropna()
    low, high = (float(cells.quantile(share)) for share in (0.05, 0.95))
    recipe_value = answer.recipe.get(field.value)
    low, high = min(low, recipe_value or low), max(high, recipe_value or high)
    is_log = low > 0 and high / low > 20
    spaced = np.geomspace(low, high, _POINTS) if is_log else np.linspace(low, high, _POINTS)
    rounded = [float(f"{value:.3g}") for value in spaced]
    clipped = [min(max(value, field.minimum), field.maximum) for value in rounded]
    return sorted({*clipped, *([recipe_value] if recipe_value is not None else [])})


def _measured_points(result: Profile, field: str) -> pd.DataFrame:
    """Return the measured pellets of a profile with their owner, paper and link."""
    sources = load_sources().set_index(Column.SOURCE.value)
    papers = {source: citation(row) for source, row in zip(sources.index, table_records(sources), strict=True)}
    links = "https://doi.org/" + sources[Column.DOI].str.split(";").str[0]
    source = result.literature[Column.SOURCE]
    paper = source.map(papers).fillna(source)
    literature = result.literature.assign(whose="literature", link=source.map(links), paper=paper)
    own_points = result.own.assign(whose="your pellets", link=None, paper="your pellets")
    points = pd.concat([literature, own_points], ignore_index=True) if len(own_points) else literature
    return points[[field, "target", "value", "whose", "link", "paper", "made", Column.PELLET_ID.value]]


def _show_map(answer: Answer, given: dict[str, Any], at_c: float | None) -> None:
    """Show the conductivity over x and the sintering temperature."""
    from nasicon_ml.app.charts import heat_map

    st.header("Map of x against sintering temperature")
    temperature, composition = Column.SINTERING_TEMPERATURE_C.value, answer.composition
    x_limit = next((limit for limit in _X_LIMITS if limit >= composition.x), composition.x)
    centre = given.get(temperature, 900.0)
    low, high = max(centre - _HALF_WIDTH_C, Column.SINTERING_TEMPERATURE_C.minimum), centre + _HALF_WIDTH_C
    varied = {
        "x": np.round(np.linspace(0, x_limit, _SIDE), 3).tolist(),
        temperature: np.round(np.linspace(low, min(high, 1700.0), _SIDE)).tolist(),
    }
    recipe = _profile_arguments(given, {Column.FORMULA.value: composition.system, **varied})
    try:
        result = profile(**recipe, model=model(), at_c=at_c, own=own())
    except FieldError:
        st.caption(escaped(f"There is none: {composition.system} has no x that could be varied."))
        return
    titles = (f"x in {composition.system}", Column.SINTERING_TEMPERATURE_C.axis_label)
    st.altair_chart(heat_map(result.frame(), "x", temperature, titles), alt="Conductivity over x and temperature")


def _show_explanation(prediction: Prediction) -> None:
    """Show the contributions of the parts of the recipe to each answer."""
    from nasicon_ml.app.charts import bars

    st.header("What moved the answer")
    parts = explain_prediction(prediction)
    names = [short_target(target) for target in ANSWERS]
    for tab, name, target in zip(st.tabs(list(map(str.capitalize, names))), names, ANSWERS, strict=True):
        shown = parts[parts["target"] == str(target)].head(_SHOWN_PARTS)
        unit = shown["unit"].iloc[0]
        with tab:
            st.altair_chart(
                bars(shown[["part", "contribution"]].assign(part=shown["part"].map(_with_field_labels)), unit),
                alt=f"What moved {name}",
            )
            base, predicted = shown["base"].iloc[0], shown["predicted"].iloc[0]
            st.caption(escaped(
                f"From the average pellet ({base:.3g}) to this answer ({predicted:.3g}), in the model."
            ))  # fmt: skip


def _with_field_labels(part: str) -> str:
    """Return a part with the names of its fields replaced by the labels of the form."""
    labels = {column.value: column.axis_label for column in RECIPE}
    return re.sub(r"\b\w+(?= = )", lambda match: labels.get(match[0], match[0]), part)


def _show_neighbours(answer: Answer) -> None:
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
