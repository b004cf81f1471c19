"""Trains with pellets of one's own, and lets nothing of them out but what the model has learned.

Own pellets are a source of their own in every fold. What a training run shows, records or saves holds none of
their rows: out-of-fold tables, scores and folds are those of the dataset, and the bundle's measured pellets, by
which it names neighbours and secondary phases and knows its domain, are the dataset's. What remains of own
pellets are the trees, the intervals, the calibration and the covariance that learned from them, their number and
a checksum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.composition import occupancies
from nasicon_ml.data.own import own_checksum, own_pellets, refuse_known_sources
from nasicon_ml.estimators.domain import fit_domain
from nasicon_ml.estimators.remoteness import source_gaps
from nasicon_ml.features.similarity import recipe_space
from nasicon_ml.model import PropertyModel

#: What a table of own pellets may be given as.
Given = str | Path | pd.DataFrame


@dataclass(frozen=True)
class Added:
    """Own pellets that are trained with.

    Attributes
    ----------
    pellets
        As `nasicon_ml.data.own.own_pellets` gives them; none where none were given.
    sha256
        `nasicon_ml.data.own.own_checksum` of them; empty where there are none.
    """

    pellets: pd.DataFrame
    sha256: str

    @classmethod
    def read(cls, given: Given | None, dataset: pd.DataFrame) -> Added:
        """Read own pellets, where there are any, and refuse such as call themselves a source of the dataset.

        Raises
        ------
        DatasetError
            If rows are bad, or the source is one of the dataset.
        """
        if given is None:
            return cls(dataset.iloc[:0], "")
        pellets = own_pellets(given)
        refuse_known_sources(pellets, set(dataset[Column.SOURCE]))
        return cls(pellets, own_checksum(pellets))

    def beside(self, dataset: pd.DataFrame) -> pd.DataFrame:
        """Give the dataset's pellets and then one's own, whose keys are made different from the dataset's."""
        if self.pellets.empty:
            return dataset
        taken = set(dataset[Column.PELLET_ID])
        keys = self.pellets[Column.PELLET_ID]
        clashing = keys.isin(taken)
        named = self.pellets.assign(**{Column.PELLET_ID.value: keys.where(~clashing, "own pellet " + keys)})
        return pd.concat([dataset, named], ignore_index=True)

    def recorded(self) -> dict[str, Any]:
        """Say what is kept of them."""
        if self.pellets.empty:
            return {}
        return {"added_pellets": len(self.pellets), "added_sha256": self.sha256}

    def left_out_of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Drop their rows from a table with sources."""
        if self.pellets.empty:
            return table
        return table[~table[Column.SOURCE].isin(self.pellets[Column.SOURCE])].reset_index(drop=True)

    def withheld_from(self, model: PropertyModel) -> PropertyModel:
        """Give the model without their rows among its measured pellets, and with the dataset's domain."""
        if self.pellets.empty:
            return model
        pellets = self.left_out_of(model.pellets)
        sites = occupancies(pellets[Column.FORMULA].to_list())
        space = recipe_space(pellets, sites=sites)
        sources = pellets[Column.SOURCE].to_numpy(dtype=object)
        remoteness = source_gaps(space, space, sources).remoteness(np.asarray(sources))
        return replace(model, pellets=pellets, domain=fit_domain(pellets[list(MODEL_INPUT)], sites, remoteness))
