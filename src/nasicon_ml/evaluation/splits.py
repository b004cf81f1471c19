"""Folds in which no source stands on both sides: the only splits this project knows."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasicon_ml.errors import LeakageError

Ints = NDArray[np.intp]


def grouped_folds(sources: ArrayLike, folds: int, seed: int) -> Ints:
    """Deal whole sources to folds of about equal numbers of rows.

    Parameters
    ----------
    sources
        Source key of each row, shape (n,).
    folds
        Number of folds, at least 2 and at most the number of sources.
    seed
        Same seed and sources: same folds, whatever the order of the rows.

    Returns
    -------
    ndarray of int
        Shape (n,), fold of each row, 0 to folds - 1.

    Raises
    ------
    ValueError
        If there are fewer sources than folds, or fewer than 2 folds.
    """
    names, codes, counts = np.unique(np.asarray(sources, dtype=str), return_inverse=True, return_counts=True)
    if not 2 <= folds <= len(names):
        raise ValueError(f"{folds} folds cannot be made of {len(names)} sources: at least 2, at most one each")
    # Largest first into the emptiest fold keeps folds even; the shuffle before decides among equals.
    # scikit-learn's GroupKFold either balances or shuffles, not both.
    shuffled = np.random.default_rng(seed).permutation(len(names))
    order = shuffled[np.argsort(-counts[shuffled], kind="stable")]
    filled = np.zeros(folds)
    fold_of = np.empty(len(names), dtype=np.intp)
    for name in order:
        emptiest = int(filled.argmin())
        fold_of[name] = emptiest
        filled[emptiest] += counts[name]
    return fold_of[codes]


def assert_disjoint(training: ArrayLike, testing: ArrayLike) -> None:
    """Refuse to go on if a source stands on both sides.

    Raises
    ------
    LeakageError
        Naming the sources.
    """
    shared = set(np.unique(np.asarray(training, dtype=str))) & set(np.unique(np.asarray(testing, dtype=str)))
    if shared:
        shown = ", ".join(sorted(shared)[:5])
        raise LeakageError(f"{len(shared)} sources stand on both sides of a split: {shown}")
