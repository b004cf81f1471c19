"""What each field of a recipe is worth: permutation importance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Ints
from nasicon_ml.columns import MODEL_INPUT, RECIPE, Column, Role
from nasicon_ml.estimators.fitting import FittedTarget
from nasicon_ml.estimators.targets import TargetName, TrainingRows, measurement_temperature
from nasicon_ml.evaluation.scores import loss
from nasicon_ml.features.build import build_features

#: How often each field is shuffled.
_SHUFFLES = 3
#: Fields that only mean something together are shuffled together.
SHUFFLED_TOGETHER: dict[str, tuple[Column, ...]] = {
    Column.ADDITIVE.label: (Column.ADDITIVE, Column.ADDITIVE_AMOUNT, Column.ADDITIVE_UNIT)
}


def shuffled_groups(table: pd.DataFrame) -> dict[str, tuple[Column, ...]]:
    """Return the fields that are shuffled, by label; of role `Role.PREPARATION` those that some row states."""
    together = {column for group in SHUFFLED_TOGETHER.values() for column in group}
    single = {
        column.label: (column,)
        for column in RECIPE
        if column not in together and (column.role is not Role.PREPARATION or table[column].notna().any())
    }
    return single | SHUFFLED_TOGETHER


class ImportanceCollector:
    """Collects permutation importance over the folds of a cross-validation, in terms of the recipe.

    Parameters
    ----------
    pellets
        The whole pellet table.
    name, rows
        The target and its rows.
    feature_set
        What the models take.
    seed
        Of the shuffling.

    Notes
    -----
    Permutation importance: Breiman, 10.1023/A:1010933404324. The loss is the mean absolute error on the scale
    of reports, for a probability the mean logarithmic loss; only out-of-fold pellets count, so a field that the
    model merely memorised is worth nothing.
    """

    def __init__(
        self, pellets: pd.DataFrame, name: TargetName, rows: TrainingRows, feature_set: str, *, seed: int
    ) -> None:
        self._table = pellets[list(MODEL_INPUT)].reset_index(drop=True)
        self._temperature = measurement_temperature(pellets)
        self._name, self._rows, self._feature_set = name, rows, feature_set
        self._random = np.random.default_rng(seed)
        self._increases: list[dict[str, float]] = []
        self._sizes: list[int] = []

    def inspect(self, fitted: FittedTarget, test: Ints) -> None:
        """Shuffle each field among the test rows of one fold and keep the increase of the loss."""
        table = self._table.iloc[self._rows.rows[test]].reset_index(drop=True)
        temperature = self._temperature[self._rows.rows[test]]
        y = self._rows.y[test]
        groups = shuffled_groups(self._table)
        copies = [table]
        for columns in groups.values():
            for _ in range(_SHUFFLES):
                order = self._random.permutation(len(table))
                changed = table.copy()
                for column in columns:
                    changed[column] = table[column].to_numpy()[order]
                copies.append(changed)
        # One pass over all copies: the cost of features lies in the calls, not in the rows.
        features = build_features(pd.concat(copies, ignore_index=True), self._feature_set).values
        predicted = fitted.reported(features, np.tile(temperature, len(copies))).reshape(len(copies), len(table))
        losses = [loss(self._name, y, values) for values in predicted]
        increase = np.array(losses[1:]).reshape(len(groups), _SHUFFLES).mean(axis=1) - losses[0]
        self._increases.append(dict(zip(groups, increase.tolist(), strict=True)))
        self._sizes.append(len(table))

    def frame(self) -> pd.DataFrame:
        """Return target, feature, importance (increase of the loss) and its spread over folds, largest first."""
        increases = pd.DataFrame(self._increases)
        weight = np.array(self._sizes, dtype=np.float64)[:, None]
        mean = (increases.to_numpy() * weight).sum(axis=0) / weight.sum()
        frame = pd.DataFrame(
            {
                "target": str(self._name),
                "feature": increases.columns,
                "importance": mean,
                "spread": increases.std(axis=0, ddof=0).to_numpy(),
            }
        )
        return frame.sort_values("importance", ascending=False, ignore_index=True)
