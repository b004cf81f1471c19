"""How far apart pellets of one laboratory are, for what one of them tells about another.

This is not the distance to pellets of the literature (`nasicon_ml.features.similarity`). Within a laboratory, what
neither of two recipes states is the same for both: powder, furnace, electrodes, habits. And which dopant stands on
a site matters more than how much of it: amounts are compared by their square roots (Hellinger's distance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasicon_ml.features.similarity import RecipeSpace

Floats = NDArray[np.float64]

#: Two numbers further apart than this many scales (`nasicon_ml.features.similarity.SCALES`) are simply far apart.
_FURTHEST = 2.0


@dataclass(frozen=True)
class Gaps:
    """Three distances of every query to every reference; each of shape (n_queries, n_references).

    Attributes
    ----------
    composition
        Hellinger's distance of the amounts on the sites: 0 for the same formula, about 2 if all of M differs.
    processing
        Sum over the fields: 0 for equal or not stated by either, 1 for wholly different, at most 2 for a number.
    prediction
        Absolute difference of what the trees say, on the scale the model learns.
    """

    composition: Floats
    processing: Floats
    prediction: Floats

    def take(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Gaps:
        """Keep some queries and some references."""
        at = np.ix_(rows, columns)
        return Gaps(self.composition[at], self.processing[at], self.prediction[at])


def gaps(queries: RecipeSpace, references: RecipeSpace, predicted: Floats, reference_predicted: Floats) -> Gaps:
    """Measure the distances between recipes; predictions are on the scale the model learns, shape (n,) each."""
    ours, theirs = (np.sqrt(np.maximum(space.sites, 0.0)) for space in (queries, references))
    squared = (ours**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1)[None, :] - 2.0 * ours @ theirs.T
    # Rounding must not make a formula differ from itself: the root would magnify it.
    composition = np.sqrt(np.where(squared < 1e-9, 0.0, squared))
    return Gaps(
        composition, _processing(queries, references), np.abs(predicted[:, None] - reference_predicted[None, :])
    )


def _processing(queries: RecipeSpace, references: RecipeSpace) -> Floats:
    numbers = np.minimum(np.abs(queries.numbers[:, None, :] - references.numbers[None, :, :]), _FURTHEST)
    choices = (queries.codes[:, None, :] != references.codes[None, :, :]).astype(np.float64)
    additive = np.minimum(np.abs(queries.additive[:, None, :] - references.additive[None, :, :]), 1.0)
    total = _stated(numbers, np.isnan(queries.numbers), np.isnan(references.numbers), _FURTHEST)
    total += _stated(choices, queries.codes < 0, references.codes < 0, 1.0)
    return np.asarray(total + additive.sum(axis=2))


def _stated(
    gap: Floats, ours_unknown: NDArray[np.bool_], theirs_unknown: NDArray[np.bool_], most: float
) -> Floats:
    """Add up fields: 0 where neither of the two states one, half of the most it can count where only one does.

    Less than half would place "not stated" closer to all values than these are to each other allows: the
    covariance made of the distance would not be one.
    """
    ours, theirs = ours_unknown[:, None, :], theirs_unknown[None, :, :]
    return np.asarray(np.where(ours & theirs, 0.0, np.where(ours | theirs, most / 2.0, gap)).sum(axis=2))
