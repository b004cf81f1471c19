"""Error analysis: errors by group, offsets of sources, and learning curves over the share of sources."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from benchmarks.accuracy import main
from benchmarks.error_analysis import by_group, own_offsets, quartiles, worst_sources
from benchmarks.learning_curves import SHARES, sources_kept
from benchmarks.predictions import FLOOR

from nasicon_ml.columns import RECIPE, Column
from nasicon_ml.data.files import DATASETS_VARIABLE


def errors(*rows: tuple[str, float]) -> pd.DataFrame:
    """A table of signed errors by source; all other columns are constant."""
    table = pd.DataFrame({str(column): [None] * len(rows) for column in RECIPE})
    table[str(Column.SOURCE)] = [source for source, _ in rows]
    table[str(Column.SYSTEM)] = "LATP"
    table[str(Column.READINGS)] = 1.0
    table[str(Column.MEASUREMENT_TEMPERATURE_C)] = 25.0
    error = np.array([error for _, error in rows])
    others = ("fields", "unknown", "distance", "other_sources", "other_pellets", "others_spread", "suspect_rows")
    table = table.assign(error=error, size=np.abs(error), measured=0.0, **dict.fromkeys(others, 0.0))
    return table.assign(**{FLOOR: 1.0})


def test_own_offset_is_the_mean_error_of_the_other_pellets_of_the_source() -> None:
    found = own_offsets(errors(("a", 1.0), ("a", 2.0), ("a", 3.0), ("pair", 9.0), ("pair", 9.0)))
    # The other errors have the means 2.5, 2 and 1.5; a source with two pellets is left out.
    assert found["mean_abs"].tolist() == pytest.approx([2.0, 1.0])
    assert found["n_rows"].tolist() == [3, 3]


def test_worst_sources_are_sorted_by_their_share_of_the_error() -> None:
    found = worst_sources(errors(("often", -1.0), ("often", -1.0), ("often", 2.0), ("once", 3.0), ("good", 0.0)))
    assert found[Column.SOURCE].tolist() == ["often", "once", "good"]
    assert found["share_of_error"].tolist() == pytest.approx([4 / 7, 3 / 7, 0])
    assert found["signed_error"].tolist() == [0, 3, 0]
    assert found["others_off_by"].tolist() == [1, 1, 1]


def test_mean_error_sources_and_floor_by_group() -> None:
    rows = errors(("a", -1.0), ("a", 3.0), ("b", 5.0))
    found = by_group(rows, pd.Series(["x", "x", "y"], rows.index))
    assert found["error"].tolist() == [2, 5]
    assert found["n_sources"].tolist() == [1, 1]
    assert found["floor"].tolist() == [1, 1]


def test_quartiles_are_sorted_from_smallest_to_largest_error() -> None:
    rows = errors(*((str(at), float(at)) for at in range(8)))
    rows["fields"] = 7 - np.arange(8.0)
    found = quartiles(rows).set_index("quantity")
    assert found.loc["mean error"].tolist() == [0.5, 2.5, 4.5, 6.5]
    assert found.loc["processing fields given"].tolist() == [6.5, 4.5, 2.5, 0.5]


def test_larger_share_of_sources_includes_the_smaller_share() -> None:
    sources = np.repeat([f"s{at}" for at in range(20)], 3).astype(object)
    kept = [sources_kept(sources, share, 1) for share in SHARES]
    for smaller, larger in pairwise(kept):
        assert (larger | ~smaller).all()
    assert [len(set(sources[is_kept])) for is_kept in kept] == [5, 10, 15, 20]
    assert (sources_kept(sources, 0.25, 2) != kept[0]).any()


@pytest.mark.slow
def test_limits_option_writes_page_learning_curves_and_group_tables(tmp_path, few_sources, monkeypatch) -> None:
    monkeypatch.setenv(DATASETS_VARIABLE, str(few_sources))
    assert main(["--quick", "--limits", "--folds", "2", "--threads", "1", "--out", str(tmp_path)]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert {"limits.md", "limits.csv", "learning.csv", "learning_conductivity.png"} <= names
    curves = pd.read_csv(tmp_path / "learning.csv")
    assert set(curves["share"]) == set(SHARES)
    assert (curves["low"] <= curves["high"]).all()
    n_sources = curves.sort_values("share").groupby(["target", "model"])["sources"]
    assert n_sources.apply(lambda counts: counts.is_monotonic_increasing).all()
    groups = pd.read_csv(tmp_path / "limits.csv")
    totals = groups.groupby(["target", "table"])["n_rows"].sum().groupby(level=0).nunique()
    assert (totals == 1).all()  # every table has each pellet once
