"""Why an answer is what it is: how much each field of the recipe moved it, and what single own pellets do.

The model is asked for the recipe with every choice of its fields left out, and what changes is shared out among
the fields and the pairs of them: who doubts a part can leave the field out and see.
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

#: An answer is moved by one pellet if without it the shift is this much less, in decades or points, ...
_LEAST = {TargetName.CONDUCTIVITY: 0.1, TargetName.RELATIVE_DENSITY: 1.5}
#: ... and that is this share of the whole shift.
_SHARE = 0.5


@dataclass(frozen=True)
class DominantPellet:
    """One own pellet that makes up most of the shift of an answer.

    Attributes
    ----------
    target
        Which answer.
    pellet_id
        Which pellet.
    change
        What the shift owes to it: decades or points.
    unit
        Of the change.
    """

    target: str
    pellet_id: str
    change: float
    unit: str


def dominant_pellets(prediction: Prediction) -> list[tuple[DominantPellet, ...]]:
    """Return, for each recipe, the own pellets without which conductivity or density would move far less."""
    found: list[list[DominantPellet]] = [[] for _ in range(len(prediction.recipes))]
    if prediction.own is None:
        return [()] * len(found)
    space, ids = recipe_space(prediction.recipes), prediction.own[Column.PELLET_ID].to_numpy(dtype=object)
    known = prediction.model.known(prediction.own)
    for name, least in _LEAST.items():
        of_target, learned = known[name], prediction.learned[name]
        if len(of_target.rows) < 2:
            continue
        whole = _shift(name, of_target, space, learned)
        every = np.arange(len(of_target.rows))
        changes = np.stack(
            [whole - _shift(name, of_target.take(every != one), space, learned) for one in every], axis=1
        )
        largest = np.abs(changes).argmax(axis=1)
        for row, one in enumerate(largest.tolist()):
            change = float(changes[row, one])
            if abs(change) >= max(least, _SHARE * abs(whole[row])):
                key = str(ids[of_target.rows[one]])
                found[row].append(DominantPellet(str(name), key, change, ERROR_UNITS[TARGETS[name].column]))
    return [tuple(each) for each in found]


def _shift(name: TargetName, known: KnownPellets, space: object, learned: Floats) -> Floats:
    """Return how far own pellets move answers: decades, or points."""
    shift = known.correction(space, learned).shift  # type: ignore[arg-type]
    if name is TargetName.CONDUCTIVITY:
        return shift
    return np.asarray(TARGETS[name].inverse(learned + shift) - TARGETS[name].inverse(learned))


def describe_outliers(model: PropertyModel, own: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the own pellets that are unlike the others and so count less: pellet, and what is unlike."""
    ids = own[Column.PELLET_ID].to_numpy(dtype=object)
    found = []
    for name, known in model.known(own).items():
        column, back = TARGETS[name].column, TARGETS[name].inverse
        for at in np.flatnonzero(known.outlier_deviation).tolist():
            measured, expected = known.measured[at], known.measured[at] - known.outlier_deviation[at]
            if name is TargetName.CONDUCTIVITY:
                values = [f"{10.0**measured:.2g} S/cm at {ROOM_TEMPERATURE_C:g} °C", f"{10.0**expected:.2g} S/cm"]
            else:
                both = back(np.array([measured, expected])).tolist()
                values = [f"{one:.3g} {column.unit}" for one in both]
            words = f"{values[0]}, where its recipe and the other pellets let expect {values[1]}; it counts less"
            found.append((str(ids[known.rows[at]]), f"{column.label}: {words}"))
    return found


#: Units of contributions.
UNITS = {name: "percentage points" if TARGETS[name].is_probability else TARGETS[name].unit for name in ANSWERS}
COLUMNS = ("row", "target", "group", "part", "contribution", "unit", "base", "predicted")
#: What the answer to the formula alone differs by from the average of the training pellets; own pellets.
COMPOSITION, OWN = Column.FORMULA.label, "your own pellets"
#: What is left out together: an amount says nothing without its additive.
_TOGETHER = {Column.ADDITIVE_AMOUNT: Column.ADDITIVE, Column.ADDITIVE_UNIT: Column.ADDITIVE}
#: Recipes asked at a time, about.
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
        As `explained`.

    Raises
    ------
    FieldError, FormulaError, BundleError
        As `predict` does.
    """
    return explain_prediction(predict(recipes, model))


def explain_prediction(prediction: Prediction) -> pd.DataFrame:
    """Compute how much each thing that a recipe states moved its answers.

    Parameters
    ----------
    prediction
        Of n recipes; what own pellets moved is a part of its own.

    Returns
    -------
    pandas.DataFrame
        One row for each recipe, answer and part, the strongest part of each answer first: row (of the recipes,
        from 0), target, group (the names of the fields), part (with their values), contribution, unit, base and
        predicted. In the unit of the contribution, base + the sum of contributions = predicted:

        - conductivity in decades, base and predicted as log10(S/cm) at the temperature asked for;
        - relative density in points, base and predicted in %;
        - phase purity in percentage points, base and predicted in %.

    Notes
    -----
    The base is the mean answer to the training pellets. The part of the composition is the answer to the formula
    alone less the base, that of a field is what the answer changes by if it is the only one stated, and that of
    two fields is what they change together beyond that, whatever else is stated (the Shapley-Taylor index of order
    2: Dhamdhere, Agarwal and Sundararajan, 10.48550/arXiv.1902.05622). What a part contributes is what the model
    makes of it and no measured effect.
    """
    recipes, model = prediction.recipes, prediction.model
    stated = [_stated(row) for row in recipes[[str(column) for column in RECIPE]].notna().to_dict("records")]
    at_c = measurement_temperature(recipes).tolist()
    means = {one: _means(model, one) for one in dict.fromkeys(at_c)}
    answers = _answers_without(model, recipes, stated)
    frames = [
        _frame(prediction, row, name, stated[row], cells, answers[row][name], means[at_c[row]][name])
        for row, cells in enumerate(recipes.to_dict("records"))
        for name in ANSWERS
    ]
    if not frames:
        return pd.DataFrame({name: [] for name in COLUMNS})
    frame = pd.concat(frames, ignore_index=True)
    answer = frame["target"].map({str(name): place for place, name in enumerate(ANSWERS)}).to_numpy()
    order = np.lexsort((-frame["contribution"].abs().to_numpy(dtype=np.float64), answer, frame["row"].to_numpy()))
    return frame.iloc[order].reset_index(drop=True)


def _stated(row: Mapping[Hashable, bool]) -> tuple[Column, ...]:
    """Return the fields beside the formula that a recipe states."""
    return tuple(
        column for column in RECIPE if row[column] and column is not Column.FORMULA and column not in _TOGETHER
    )


def _answers_without(
    model: PropertyModel, recipes: pd.DataFrame, stated: Sequence[tuple[Column, ...]]
) -> list[dict[TargetName, Floats]]:
    """Return, for each recipe, the answers with every choice of its k stated fields left out; shape (2**k,) each.

    Bit i of a position says that field i is there.
    """
    found: list[dict[TargetName, Floats]] = []
    chunks = np.cumsum([2 ** len(fields) for fields in stated]) // _CHUNK
    for _, rows in itertools.groupby(range(len(stated)), key=lambda row: chunks[row]):
        tables = [_left_out(recipes.iloc[[row]], stated[row]) for row in rows]
        reported = _reported(model, pd.concat(tables, ignore_index=True))
        ends = np.cumsum([len(table) for table in tables])[:-1]
        parts = {name: np.split(values, ends) for name, values in reported.items()}
        found += [{name: parts[name][at] for name in ANSWERS} for at in range(len(tables))]
    return found


def _left_out(recipe: pd.DataFrame, fields: tuple[Column, ...]) -> pd.DataFrame:
    """Return one recipe with every choice of its fields left out."""
    count = 2 ** len(fields)
    table = recipe.loc[recipe.index.repeat(count)].reset_index(drop=True)
    position = np.arange(count)
    for at, column in enumerate(fields):
        gone = (position >> at) & 1 == 0
        for each in (column, *(other for other, leader in _TOGETHER.items() if leader is column)):
            table[each] = table[each].mask(gone, np.nan if each.kind is Kind.NUMBER else None)
    return table


def _reported(model: PropertyModel, table: pd.DataFrame) -> dict[TargetName, Floats]:
    """Return answers in the units of `explained`, shape (n,) each."""
    numbers = model.scores(table)
    return {name: _in_units(name, np.asarray(numbers[PREDICTED[name]])) for name in ANSWERS}


def _in_units(name: TargetName, values: Floats) -> Floats:
    if name is TargetName.CONDUCTIVITY:
        return np.log10(values)
    return 100.0 * values if TARGETS[name].is_probability else values


def _means(model: PropertyModel, at_c: float) -> dict[TargetName, float]:
    """Return the mean answers to the training pellets, conductivity at a temperature in °C."""
    table = model.pellets.reindex(columns=[str(column) for column in MODEL_INPUT])
    table = table.assign(**{Column.MEASUREMENT_TEMPERATURE_C.value: at_c})
    return {name: float(values.mean()) for name, values in _reported(model, table).items()}


def _frame(
    prediction: Prediction, row: int, name: TargetName, fields: tuple[Column, ...], cells: Mapping[Hashable, Any],
    values: Floats, base: float,
) -> pd.DataFrame:  # fmt: skip
    """Return the parts of one answer."""
    predicted = _in_units(name, np.asarray(prediction.answers.numbers[PREDICTED[name]])[[row]])[0]
    groups, parts = [COMPOSITION], [f"{Column.FORMULA} = {cells[Column.FORMULA]}"]
    sizes = [values[0] - base]
    words = [_words(column, cells) for column in fields]
    for chosen, size in shapley_taylor_index(values).items():
        groups.append(" with ".join(fields[at].label for at in chosen))
        parts.append(" with ".join(words[at] for at in chosen))
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


def _words(column: Column, cells: Mapping[Hashable, Any]) -> str:
    """Write a field as the recipe has it."""
    value = cells[column]
    text = f"{column} = {value:g}" if column.kind is Kind.NUMBER else f"{column} = {value}"
    if column is Column.ADDITIVE and not pd.isna(cells[Column.ADDITIVE_AMOUNT]):
        text += f", {cells[Column.ADDITIVE_AMOUNT]:g} {cells[Column.ADDITIVE_UNIT]}"
    return text


def shapley_taylor_index(values: Floats) -> dict[tuple[int, ...], float]:
    """Share out what k things change, among them and their pairs.

    Parameters
    ----------
    values
        What is found with each choice of the things, shape (2**k,): bit i of a position says that i is there.

    Returns
    -------
    dict
        (i,) -> what thing i changes alone; (i, j), i < j -> what both change beyond that. They add up to the
        difference between all of them and none.
    """
    count = len(values).bit_length() - 1
    found: dict[tuple[int, ...], float] = {(at,): float(values[1 << at] - values[0]) for at in range(count)}
    position = np.arange(len(values))
    sizes = np.array([int(choice).bit_count() for choice in position])
    weight = np.array([1.0 / comb(count - 1, size) for size in range(count)])
    for first, second in itertools.combinations(range(count), 2):
        both = (1 << first) | (1 << second)
        rest = position[position & both == 0]
        change = values[rest | both] - values[rest | (1 << first)] - values[rest | (1 << second)] + values[rest]
        found[first, second] = float(2.0 / count * (weight[sizes[rest]] * change).sum())
    return found


def mean_strength(parts: pd.DataFrame) -> pd.DataFrame:
    """Average the size of contributions over recipes; a recipe that does not state a field counts as 0.

    Parameters
    ----------
    parts
        What `explain` returns.

    Returns
    -------
    pandas.DataFrame
        Columns target, group, strength (mean ``|contribution|``) and unit, the strongest group of each target
        first.
    """
    sized = parts.assign(strength=parts["contribution"].abs())
    total = sized.groupby(["target", "group", "unit"], sort=False)["strength"].sum().reset_index()
    total["strength"] /= max(parts["row"].nunique(), 1)
    place = total["target"].map({str(name): place for place, name in enumerate(ANSWERS)})
    total = total.iloc[np.lexsort((-total["strength"].to_numpy(), place.to_numpy()))]
    return total[["target", "group", "strength", "unit"]].reset_index(drop=True)
