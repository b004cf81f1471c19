"""Analysis of out-of-fold errors: where they are large, and what the pellets there have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.predictions import FLOOR, OURS, Predictions
from nasicon_ml.columns import Column
from nasicon_ml.data.load import load_pellets
from nasicon_ml.estimators.targets import TargetName, training_rows
from nasicon_ml.estimators.uncertainty import NEAR_PELLETS
from nasicon_ml.evaluation.cross_validation import near_room_temperature
from nasicon_ml.features.distances import nearest_neighbours, recipe_space
from nasicon_ml.features.processing import PROCESSING_FIELDS, unknown_share

WORST_SOURCES = 15
#: Least number of pellets of a work from which its offset is estimated.
ENOUGH_FOR_OFFSET = 3
#: Largest distance of a suspect pellet that counts as a neighbour.
NEIGHBOUR = 0.5


@dataclass(frozen=True)
class ErrorAnalysis:
    """Tables of one target.

    Attributes
    ----------
    by_replicates, by_readings, by_fields
        Error in groups of pellets: group, n_rows, n_sources, error, floor.
    offsets
        Error with and without the offset of each work.
    worst
        The sources that contribute most to the error.
    quartiles
        Mean quantities of pellets in the four quarters of the error, one row per quantity.
    """

    by_replicates: pd.DataFrame
    by_readings: pd.DataFrame
    by_fields: pd.DataFrame
    offsets: pd.DataFrame
    worst: pd.DataFrame
    quartiles: pd.DataFrame


def analyse_errors(predictions: Predictions, pellets: pd.DataFrame) -> ErrorAnalysis:
    """Analyse the out-of-fold errors of one target.

    Parameters
    ----------
    predictions
        Out-of-fold predictions.
    pellets
        All usable pellets, among which neighbours are searched.
    """
    rows = _explanatory_quantities(predictions, pellets)
    others = np.where(rows["other_sources"] >= 2, 2, rows["other_sources"])
    spread = rows["others_spread"].to_numpy(np.float64)
    middle = np.nanmedian(spread) if np.isfinite(spread).any() else np.nan
    groups = [
        "made by nobody else", "by one other source", f"by several that agree (spread up to {middle:.2f})",
        f"by several that do not (spread above {middle:.2f})",
    ]  # fmt: skip
    agreement = pd.Categorical(
        np.select([others == 0, others == 1, spread <= middle], groups[:3], groups[3]), groups, ordered=True
    )
    readings = rows[Column.READINGS].fillna(1).clip(upper=3)
    return ErrorAnalysis(
        by_replicates=by_group(rows, pd.Series(agreement, rows.index)),
        by_readings=by_group(rows, readings.map({1: "1", 2: "2", 3: "3 or more"})),
        by_fields=by_group(
            rows, pd.cut(rows["fields"], [-1, 1, 3, 5, 11], labels=["0-1", "2-3", "4-5", "6 or more"])
        ),
        offsets=own_offsets(rows),
        worst=worst_sources(rows),
        quartiles=quartiles(rows),
    )


def _explanatory_quantities(predictions: Predictions, pellets: pd.DataFrame) -> pd.DataFrame:
    """Return each scored pellet once, with its mean signed error and quantities that may explain it."""
    frame = predictions.frame
    rows = frame[frame["repeat"] == frame["repeat"].min()].set_index(str(Column.PELLET_ID))
    error = frame.assign(error=frame[OURS] - frame["measured"]).groupby(Column.PELLET_ID)["error"].mean()
    rows = rows.assign(error=error, size=error.abs())
    rows["fields"] = rows[list(PROCESSING_FIELDS)].notna().sum(axis=1)
    rows["unknown"] = unknown_share(rows)
    training_pellets = _training_pellets(predictions.target, pellets)
    space, known = recipe_space(rows), recipe_space(training_pellets)
    sources = {
        "query_sources": rows[Column.SOURCE].to_numpy(object),
        "reference_sources": training_pellets[Column.SOURCE].to_numpy(object),
    }
    rows["distance"] = nearest_neighbours(space, known, NEAR_PELLETS, **sources).distances.mean(axis=1)
    suspect = load_pellets(include_suspect=True)
    suspect = suspect[suspect[Column.SUSPECT].astype(bool) & suspect[Column.FORMULA].notna()]
    rows["suspect_rows"] = rows[Column.SOURCE].map(suspect[Column.SOURCE].value_counts()).fillna(0).astype(int)
    if len(suspect):
        rows["suspect_neighbours"] = (
            nearest_neighbours(space, recipe_space(suspect), 5).distances <= NEIGHBOUR
        ).sum(axis=1)
    return rows.join(_other_sources(rows, training_pellets))


def _training_pellets(name: TargetName, pellets: pd.DataFrame) -> pd.DataFrame:
    rows = training_rows(pellets, name)
    training_pellets = pellets.iloc[rows.rows].assign(value=rows.y)
    return training_pellets[near_room_temperature(name, training_pellets)].reset_index(drop=True)


def _other_sources(rows: pd.DataFrame, training_pellets: pd.DataFrame) -> pd.DataFrame:
    """Return counts of other sources and pellets of the same composition, and the spread of those sources."""
    pairs = (
        rows[[Column.FORMULA, Column.SOURCE]]
        .reset_index()
        .merge(
            training_pellets[[Column.FORMULA, Column.SOURCE, "value"]],
            on=str(Column.FORMULA),
            suffixes=("", "_other"),
        )
    )
    other = f"{Column.SOURCE}_other"
    pairs = pairs[pairs[Column.SOURCE] != pairs[other]]
    by_source = pairs.groupby([str(Column.PELLET_ID), other])["value"].median()
    by_pellet = by_source.groupby(level=0)
    spread = by_pellet.agg(lambda values: float(np.abs(values - values.median()).mean()))
    found = pd.DataFrame(
        {
            "other_sources": by_pellet.size(),
            "other_pellets": pairs.groupby(Column.PELLET_ID).size(),
            "others_spread": spread.where(by_pellet.size() >= 2),
        }
    ).reindex(rows.index)
    counts = ["other_sources", "other_pellets"]
    found[counts] = found[counts].fillna(0)
    return found


def by_group(rows: pd.DataFrame, group: pd.Series) -> pd.DataFrame:
    """Return the mean error by group, with the floor if there is one."""
    table = rows.assign(group=group).groupby("group", observed=True, sort=True)
    found = pd.DataFrame(
        {
            "n_rows": table.size(),
            "n_sources": table[str(Column.SOURCE)].nunique(),
            "error": table["size"].mean(),
            "median": table["size"].median(),
        }
    )
    if FLOOR in rows:
        gap = (rows["measured"] - rows[FLOOR]).abs()
        found["floor"] = gap.groupby(group, observed=True).mean()
    return found.reset_index()


def own_offsets(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the error before and after the offset of each work is subtracted.

    Only works with at least `ENOUGH_FOR_OFFSET` pellets are used. The offset is the mean error of the other
    pellets of the work, so that it does not depend on the error of the pellet itself.
    """
    count = rows.groupby(Column.SOURCE)["error"].transform("size")
    enough = rows[count >= ENOUGH_FOR_OFFSET]
    of_source = enough.groupby(Column.SOURCE)["error"]
    total, number = of_source.transform("sum"), of_source.transform("size")
    left = enough["error"] - (total - enough["error"]) / (number - 1)
    return pd.DataFrame(
        {
            "error": ["as predicted", "the work's offset known from its other pellets"],
            "mean_abs": [enough["error"].abs().mean(), left.abs().mean()],
            "n_rows": len(enough),
            "n_sources": enough[Column.SOURCE].nunique(),
        }
    )


def worst_sources(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the sources that contribute most to the sum of the errors."""
    table = rows.groupby(Column.SOURCE)
    found = pd.DataFrame(
        {
            "systems": table[str(Column.SYSTEM)].agg(lambda names: ", ".join(sorted(set(names))[:4])),
            "n_rows": table.size(),
            "signed_error": table["error"].mean(),
            "error": table["size"].mean(),
            "share_of_error": table["size"].sum() / rows["size"].sum(),
            "measured": table["measured"].mean(),
            "fields": table["fields"].mean(),
            "distance": table["distance"].mean(),
            "other_sources": table["other_sources"].mean(),
            "suspect_rows": table["suspect_rows"].first(),
        }
    )
    if FLOOR in rows:
        found["others_off_by"] = (rows[FLOOR] - rows["measured"]).groupby(rows[Column.SOURCE]).mean()
    if "suspect_neighbours" in rows:
        found["suspect_neighbours"] = table["suspect_neighbours"].mean()
    return found.sort_values("share_of_error", ascending=False).head(WORST_SOURCES).reset_index()


def quartiles(rows: pd.DataFrame) -> pd.DataFrame:
    """Return mean quantities by quarter of the error, one row per quantity and one column per quarter."""
    quarter = pd.qcut(rows["size"].rank(method="first"), 4, labels=["best", "second", "third", "worst"])
    quantities = {
        "mean error": rows["size"],
        "processing fields given": rows["fields"],
        "share of processing not known": rows["unknown"],
        "distance to the nearest three pellets of others": rows["distance"],
        "other sources with the same composition": rows["other_sources"],
        "pellets of others with the same composition": rows["other_pellets"],
        "share with no other source at the composition": rows["other_sources"] == 0,
        "spread of the others at the composition": rows["others_spread"],
        "independent readings": rows[Column.READINGS].fillna(1),
        "share in LATP, LAGP or LATGP": rows[Column.SYSTEM].isin(["LATP", "LAGP", "LATGP"]),
        "measured value": rows["measured"],
        "pellets of the source": rows.groupby(Column.SOURCE)["size"].transform("size"),
    }
    quantities |= {
        f"share with {field.label} given": rows[field].notna()
        for field in (*PROCESSING_FIELDS, Column.MEASUREMENT_TEMPERATURE_C)
    }
    found = pd.DataFrame(quantities).astype(np.float64).groupby(quarter, observed=True).mean().T
    return found.rename_axis("quantity").rename_axis(None, axis=1).reset_index()
