"""Selection of booster settings by Optuna on inner folds, which are grouped by source like the outer ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import Column
from nasicon_ml.errors import MissingExtraError
from nasicon_ml.estimators.boosting import BoosterSettings
from nasicon_ml.estimators.fitting import FitContext, fit_target
from nasicon_ml.estimators.targets import TargetName, TrainingRows, measurement_temperature
from nasicon_ml.evaluation.cross_validation import grouped_folds, grouped_splits
from nasicon_ml.evaluation.scores import loss

if TYPE_CHECKING:
    import optuna

INNER_FOLDS = 4


class OptunaTuner:
    """Search for settings on the training rows of an outer fold.

    Parameters
    ----------
    trials
        Number of settings to try. The default settings are the first, so the selected settings are never worse on
        the inner folds.

    Attributes
    ----------
    records
        A record for each trial of each search: target, numbers of pellets and features, trial, inner loss, and the
        settings. The order depends on threads; `trial_table` sorts the records.
    """

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.records: list[dict[str, object]] = []

    def __call__(
        self, context: FitContext, name: TargetName, rows: TrainingRows, training_mask: NDArray[np.bool_]
    ) -> FitContext:
        """Return the context with the settings that have the lowest loss on the inner folds.

        Raises
        ------
        MissingExtraError
            If optuna is not installed.
        """
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError("optuna", "tune", "--trials") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=context.seed))
        default = context.settings[name]
        study.enqueue_trial({name: getattr(default, name) for name in _TUNED_SETTINGS})

        def objective(trial: optuna.Trial) -> float:
            return _inner_loss(
                _with_settings(context, name, _suggest_settings(trial, default)), name, rows, training_mask
            )

        study.optimize(objective, n_trials=self.trials)
        searched = {
            "target": str(name),
            "pellets": int(training_mask.sum()),
            "features": len(context.features.names),
        }
        self.records += [
            searched | {"trial": trial.number, "inner_loss": trial.value} | trial.params for trial in study.trials
        ]
        return _with_settings(context, name, default.changed(**study.best_params))


def trial_table(tuner: OptunaTuner) -> pd.DataFrame:
    """Return the trials of all searches, sorted independently of threads; empty if there were none."""
    table = pd.DataFrame(tuner.records)
    return table if table.empty else table.sort_values(list(table.columns), ignore_index=True)


def _with_settings(context: FitContext, name: TargetName, settings: BoosterSettings) -> FitContext:
    return replace(context, settings=context.settings | {name: settings})


_TUNED_SETTINGS = (
    "rounds", "learning_rate", "max_depth", "min_child_weight", "subsample", "colsample_bynode", "reg_lambda",
)  # fmt: skip


def _suggest_settings(trial: optuna.Trial, default: BoosterSettings) -> BoosterSettings:
    return default.changed(
        rounds=trial.suggest_int("rounds", 60, 500, log=True),
        learning_rate=trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        max_depth=trial.suggest_int("max_depth", 2, 7),
        min_child_weight=trial.suggest_float("min_child_weight", 1.0, 20.0, log=True),
        subsample=trial.suggest_float("subsample", 0.4, 1.0),
        colsample_bynode=trial.suggest_float("colsample_bynode", 0.1, 1.0),
        reg_lambda=trial.suggest_float("reg_lambda", 0.1, 30.0, log=True),
    )


def _inner_loss(
    context: FitContext, name: TargetName, rows: TrainingRows, training_mask: NDArray[np.bool_]
) -> float:
    """Return the loss of the training rows, predicted in inner folds."""
    indices = np.flatnonzero(training_mask)
    sources = context.pellets[Column.SOURCE].to_numpy()[rows.rows[indices]]
    temperature = measurement_temperature(context.pellets)[rows.rows[indices]]
    predicted = np.empty(len(indices))
    for train, test in grouped_splits(sources, grouped_folds(sources, INNER_FOLDS, context.seed)):
        fitted = fit_target(context, name, rows, np.isin(np.arange(len(training_mask)), indices[train]))
        predicted[test] = fitted.reported(context.features.values[rows.rows[indices[test]]], temperature[test])
    return loss(name, rows.y[indices], predicted)
