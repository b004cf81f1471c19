"""Errors that are unlike what the others of their source let expect: such a pellet counts less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nasicon_ml.arrays import Floats

#: Standard deviations beyond which an error is an outlier. Where one pellet in five was off by three decades, the
#: error on others was 0.41 decades instead of 0.71; clean pellets lost nothing (docs/own-pellets.md).
LIMIT = 3.0
#: The variance grows with this power of the distance, so that the farther off a pellet is the less it says.
_POWER = 4.0


@dataclass(frozen=True)
class Outliers:
    """What sets errors apart from the others; shape (k,).

    Attributes
    ----------
    variance
        To add to that of an error; 0 where it is as the others.
    distance
        How far an error lies above what the others let expect; 0 where it is as the others.
    """

    variance: Floats
    distance: Floats


def find_outliers(covariance: Floats, errors: Floats, freedom: float) -> Outliers:
    """Find outliers among errors, the worst first, half of them at most.

    Parameters
    ----------
    covariance
        Of the errors, with their noise, shape (k, k).
    errors
        Shape (k,).
    freedom
        Degrees of freedom of the errors as a whole (multivariate Student's t): where all errors are wild, a wild
        one is none.
    """
    count = len(errors)
    variance, distance = np.zeros(count), np.zeros(count)
    for _ in range(max(1, count // 2) if count else 0):
        inverse = np.linalg.inv(covariance + np.diag(variance))
        weighted = inverse @ errors
        alone = 1.0 / np.diag(inverse)
        off = weighted * alone  # from what the others let expect
        others = errors @ weighted - weighted * off
        spread = alone * (freedom - 2.0 + np.maximum(others, 0.0)) / (freedom - 3.0 + count)
        size = np.where(variance > 0, 0.0, np.abs(off) / np.sqrt(spread))
        worst = int(np.argmax(size))
        if size[worst] <= LIMIT:
            break
        variance[worst] = max(spread[worst] * (size[worst] / LIMIT) ** _POWER - alone[worst], 1e-12)
        distance[worst] = off[worst]
    return Outliers(variance, distance)
