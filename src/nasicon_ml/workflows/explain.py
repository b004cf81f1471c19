"""Explanations: contributions of the fields of a recipe to its answers, and the influence of single own pellets.

The model predicts the recipe with every subset of its fields left out, and the changes are distributed over the
fields and pairs of fields.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats
from nasicon_ml.columns import ERROR_UNITS, MODEL_INPUT, RECIPE, ROOM_TEMPERATURE_C, Column, Kind
from nasicon_ml.estimators.own_pellets import KnownPellets
from nasicon_ml.estimators.targets import ANSWERS, PREDICTED, TARGETS, TargetName, measurement_temperature
from nasicon_ml.features.distances import recipe_space
from nasicon_ml.model import PropertyModel
from nasicon_ml.recipe.batch import AnyRecipes
from nasicon_ml.workflows.predict import Prediction, predict

#: A pellet is dominant if the shift without it is smaller by at least this many decades or points ...
_LEAST_CHANGE = {TargetName.CONDUCTIVITY: 0.1, TargetName.RELATIVE_DENSITY: 1.5}
#: ... and by at least this share of the whole shift.
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class DominantPellet:
    """An own pellet that causes most of the shift of an answer.

    Attributes
    ----------
    target
        Name of the answer.
    pellet_id
        Key of the pellet.
    change
        Part of the shift that the pellet causes, in decades or points.
    unit
        Unit of the change.
    """

    target: str
    pellet_id: str
    change: float
    unit: str


def dominant_pellets(prediction: Prediction) -> list[tuple[DominantPellet, ...]]:
    """Return, for each recipe, the own pellets without which conductivity or density would shift far less."""
    if prediction.own is None:
        return [()] * len(prediction.recipes)
    dominant: list[list[DominantPellet]] = [[] for _ in range(len(prediction.recipes))]
    space, ids = recipe_space(prediction.recipes), prediction.own[Column.PELLET_ID].to_numpy(dtype=object)
    known = prediction.model.known(prediction.own)
    for name, least_change in _LEAST_CHANGE.items():
        pellets, learned = known[name], prediction.learned[name]
        if len(pellets.rows) < 2:
            continue
        shift = _shift(name, pellets, space, learned)
        positions = np.arange(len(pellets.rows))
        changes = np.stack(
            [shift - _shift(name, pellets.take(positions != left_out), space, learned) for left_out in positions],
            axis=1,
        )
        for row, position in enumerate(np.abs(changes).argmax(axis=1).tolist()):
            change = float(changes[row, position])
            if abs(change) >= max(least_change, _LEAST_SHARE * abs(shift[row])):
                key = str(ids[pellets.rows[position]])
                dominant[row].append(DominantPellet(str(name), key, change, ERROR_UNITS[TARGETS[name].column]))
    return [tuple(pellets_of_row) for pellets_of_row in dominant]


def _shift(name: TargetName, known: KnownPellets, space: object, learned: Floats) -> Floats:
    """Return the shift of answers by own pellets, in decades or points."""
    shift = known.correction(space, learned).shift  # type: ignore[arg-type]
    if name is TargetName.CONDUCTIVITY:
        return shift
    return np.asarray(TARGETS[name].inverse(learned + shift) - TARGETS[name].inverse(learned))


def describe_outliers(model: PropertyModel, own: pd.DataFrame) -> list[tuple[str, str]]:
    """Return key and description of each own pellet that deviates from the others and so has less weight."""
    ids = own[Column.PELLET_ID].to_numpy(dtype=object)
    outliers = []
    for name, known in model.known(own).items():
        column = TARGETS[name].column
        for position in np.flatnonzero(known.outlier_deviation).tolist():
            measured, expected = (
                known.measured[position],
                known.measured[position] - known.outlier_deviation[position],
            )
            if name is TargetName.CONDUCTIVITY:
                texts = [f"{10.0**measured:.2g} S/cm at {ROOM_TEMPERATURE_C:g} °C", f"{10.0**expected:.2g} S/cm"]
            else:
                values = TARGETS[name].inverse(np.array([measured, expected])).tolist()
                texts = [f"{value:.3g} {column.unit}" for value in values]
            text = f"{texts[0]}, where its recipe and the other pellets let expect {texts[1]}; it counts less"
            outliers.append((str(ids[known.rows[position]]), f"{column.label}: {text}"))
    return outliers


#: Units of contributions.
UNITS = {name: "percentage points" if TARGETS[name].is_probability else TARGETS[name].unit for name in ANSWERS}
COLUMNS = ("row", "target", "group", "part", "contribution", "unit", "base", "predicted")
#: Groups of the contributions that are no processing field: the composition and own pellets.
COMPOSITION, OWN = Column.FORMULA.label, "your own pellets"
#: Fields that are left out together with another one: an amount means nothing without its additive.
_TOGETHER = {Column.ADDITIVE_AMOUNT: Column.ADDITIVE, Column.ADDITIVE_UNIT: Column.ADDITIVE}
#: Approximate number of recipes predicted at a time.
_CHUNK = 20_000


def explain(recipes: AnyRecipes, model: PropertyModel | str | Path | None = None) -> pd.DataFrame:
    """Explain the answers to recipes.

    Parameters
    ----------
    recipes, model
        As in `nasicon_ml.workflows.predict.predict`.

    Returns
    -------
    pandas.DataFrame
        As from `explain_prediction`.

    Raises
    ------
    FieldError, FormulaError, BundleError
        As `predict`.
    """
    return explain_prediction(predict(recipes, model))


def explain_prediction(prediction: Prediction) -> pd.DataFrame:
    """Compute the contribution of each field that a recipe states to its answers.

    Parameters
    ----------
    prediction
        Prediction of n recipes; the shift by own pellets is a separate contribution.

    Returns
    -------
    pandas.DataFrame
        One row for each recipe, answer and part, with the strongest part of each answer first: row (of the
        recipes, from 0), target, group (the names of the fields), part (with their values), contribution, unit,
        base and predicted. In the unit of the contribution, base + the sum of contributions = predicted:

        - conductivity in decades, base and predicted as log10(S/cm) at the requested temperature;
        - relative density in points, base and predicted in %;
        - phase purity in percentage points, base and predicted in %.

    Notes
    -----
    The base is the mean answer for the training pellets. The contribution of the composition is the answer for the
    formula alone minus the base, that of a field is the change if it is the only field stated, and that of two
    fields is their additional joint change, averaged over the other stated fields (the Shapley-Taylor index of
    order 2: Dhamdhere, Agarwal and Sundararajan, 10.48550/arXiv.1902.05622). Contributions describe the model and
    are no measured effects.
    """
    recipes, model = prediction.recipes, prediction.model
    stated = [_stated(row) for row in recipes[[str(column) for column in RECIPE]].notna().to_dict("records")]
    at_c = measurement_temperature(recipes).tolist()
    means = {temperature: _means(model, temperature) for temperature in dict.fromkeys(at_c)}
    answers = _subset_answers(model, recipes, stated)
    frames = [
        _frame(prediction, row, name, stated[row], cells, answers[row][name], means[at_c[row]][name])
        for row, cells in enumerate(recipes.to_dict("records"))
        for name in ANSWERS
    ]
    if not frames:
        return pd.DataFrame({name: [] for name in COLUMNS})
    frame = pd.concat(frames, ignore_index=True)
    place = frame["target"].map({str(name): place for place, name in enumerate(ANSWERS)}).to_numpy()
    order = np.lexsort((-frame["contribution"].abs().to_numpy(dtype=np.float64), place, frame["row"].to_numpy()))
    return frame.iloc[order].reset_index(drop=True)


def _stated(row: Mapping[Hashable, bool]) -> tuple[Column, ...]:
    """Return the fields that a recipe states, without the formula and fields that depend on another one."""
    return tuple(
        column for column in RECIPE if row[column] and column is not Column.FORMULA and column not in _TOGETHER
    )


def _subset_answers(
    model: PropertyModel, recipes: pd.DataFrame, stated: Sequence[tuple[Column, ...]]
) -> list[dict[TargetName, Floats]]:
    """Return, for each recipe, the answers with every subset of its k stated fields; shape (2**k,) each.

    Bit i of a position is 1 if the subset contains field i.
    """
    answers: list[dict[TargetName, Floats]] = []
    chunks = np.cumsum([2 ** len(fields) for fields in stated]) // _CHUNK
    for _, rows in itertools.groupby(range(len(stated)), key=lambda row: chunks[row]):
        tables = [_field_subsets(recipes.iloc[[row]], stated[row]) for row in rows]
        reported = _reported(model, pd.concat(tables, ignore_index=True))
        ends = np.cumsum([len(table) for table in tables])[:-1]
        parts = {name: np.split(values, ends) for name, values in reported.items()}
        answers += [{name: parts[name][i] for name in ANSWERS} for i in range(len(tables))]
    return answers


def _field_subsets(recipe: pd.DataFrame, fields: tuple[Column, ...]) -> pd.DataFrame:
    """Return one recipe with every subset of its fields."""
    count = 2 ** len(fields)
    table = recipe.loc[recipe.index.repeat(count)].reset_index(drop=True)
    position = np.arange(count)
    for i, field in enumerate(fields):
        is_left_out = (position >> i) & 1 == 0
        for column in (field, *(other for other, leader in _TOGETHER.items() if leader is field)):
            table[column] = table[column].mask(is_left_out, np.nan if column.kind is Kind.NUMBER else None)
    return table


def _reported(model: PropertyModel, table: pd.DataFrame) -> dict[TargetName, Floats]:
    """Return answers in the units of `explain_prediction`, shape (n,) each."""
    numbers = model.scores(table)
    return {name: _in_units(name, np.asarray(numbers[PREDICTED[name]])) for name in ANSWERS}


def _in_units(name: TargetName, values: Floats) -> Floats:
    if name is TargetName.CONDUCTIVITY:
        return np.log10(values)
    return 100.0 * values if TARGETS[name].is_probability else values


def _means(model: PropertyModel, at_c: float) -> dict[TargetName, float]:
    """Return the mean answers for the training pellets, with conductivity at a temperature in °C."""
    table = model.pellets.reindex(columns=[str(column) for column in MODEL_INPUT])
    table = table.assign(**{Column.MEASUREMENT_TEMPERATURE_C.value: at_c})
    return {name: float(values.mean()) for name, values in _reported(model, table).items()}


def _frame(
    prediction: Prediction, row: int, name: TargetName, fields: tuple[Column, ...], cells: Mapping[Hashable, Any],
    values: Floats, base: float,
) -> pd.DataFrame:  # fmt: skip
    """Return the contributions to one answer."""
    predicted = _in_units(name, np.asarray(prediction.answers.numbers[PREDICTED[name]])[[row]])[0]
    groups, parts = [COMPOSITION], [f"{Column.FORMULA} = {cells[Column.FORMULA]}"]
    sizes = [values[0] - base]
    texts = [_field_text(column, cells) for column in fields]
    for subset, size in shapley_taylor_index(values).items():
        groups.append(" with ".join(fields[i].label for i in subset))
        parts.append(" with ".join(texts[i] for i in subset))
        sizes.append(size)
    if prediction.own is not None:
        groups, parts, sizes = [*groups, OWN], [*parts, OWN], [*sizes, predicted - values[-1]]
    return pd.DataFrame(
        {
            "row": row, "target": str(name), "group": groups, "part": parts, "contribution": sizes,
            "unit": UNITS[name], "base": base, "predicted": float(predicted),
        },
        columns=list(COLUMNS),
    )  # fmt: skip


def _field_text(column: Column, cells: Mapping[Hashable, Any]) -> str:
    """Return a field of a recipe as text, such as ``sintering_time_h = 6``."""
    value = cells[column]
    text = f"{column} = {value:g}" if column.kind is Kind.NUMBER else f"{column} = {value}"
    if column is Column.ADDITIVE and not pd.isna(cells[Column.ADDITIVE_AMOUNT]):
        text += f", {cells[Column.ADDITIVE_AMOUNT]:g} {cells[Column.ADDITIVE_UNIT]}"
    return text


def shapley_taylor_index(values: Floats) -> dict[tuple[int, ...], float]:
    """Distribute the change caused by k players over the players and their pairs (Shapley-Taylor, order 2).

    Parameters
    ----------
    values
        Value of each subset of the players, shape (2**k,): bit i of a position is 1 if the subset contains i.

    Returns
    -------
    dict
        (i,) -> change by player i alone; (i, j), i < j -> additional change by both. They add up to the difference
        between all players and none.
    """
    count = len(values).bit_length() - 1
    index: dict[tuple[int, ...], float] = {(i,): float(values[1 << i] - values[0]) for i in range(count)}
    position = np.arange(len(values))
    sizes = np.array([int(subset).bit_count() for subset in position])
    weight = np.array([1.0 / comb(count - 1, size) for size in range(count)])
    for first, second in itertools.combinations(range(count), 2):
        pair = (1 << first) | (1 << second)
        rest = position[position & pair == 0]
        change = values[rest | pair] - values[rest | (1 << first)] - values[rest | (1 << second)] + values[rest]
        index[first, second] = float(2.0 / count * (weight[sizes[rest]] * change).sum())
    return index


def mean_strength(parts: pd.DataFrame) -> pd.DataFrame:
    """Average the absolute contributions over recipes; a recipe that does not state a field counts as 0.

    Parameters
    ----------
    parts
        As from `explain`.

    Returns
    -------
    pandas.DataFrame
        Columns target, group, strength (mean ``|contribution|``) and unit, with the strongest group of each target
        first.
    """
    sized = parts.assign(strength=parts["contribution"].abs())
    total = sized.groupby(["target", "group", "unit"], sort=False)["strength"].sum().reset_index()
    total["strength"] /= max(parts["row"].nunique(), 1)
    place = total["target"].map({str(name): place for place, name in enumerate(ANSWERS)})
    total = total.iloc[np.lexsort((-total["strength"].to_numpy(), place.to_numpy()))]
    return total[["target", "group", "strength", "unit"]].reset_index(drop=True)
