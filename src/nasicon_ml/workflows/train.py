"""Training of the models from a dataset, with scores, out-of-fold predictions and feature importance.

Own pellets can be added to the training. They form a separate source in every fold, and no result contains their
rows: out-of-fold tables, scores and folds are those of the dataset, and so are the measured pellets of the bundle,
on which neighbours, secondary phases and the domain are based. Own pellets influence only the trees, intervals,
calibration and covariance; their number and a checksum are recorded.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Strings
from nasicon_ml.bundle.out_of_fold import rounded, to_csv
from nasicon_ml.bundle.parts import ModelMetadata
from nasicon_ml.columns import MODEL_INPUT, Column
from nasicon_ml.composition import OccupancyTable, occupancies
from nasicon_ml.data.files import PELLETS_FILE, dataset_checksum, dataset_version, datasets_folder
from nasicon_ml.data.load import load_pellets
from nasicon_ml.data.own_pellets import own_checksum, own_pellets, refuse_known_sources
from nasicon_ml.data.validate import count_problems
from nasicon_ml.errors import DatasetError, FieldError, nearest
from nasicon_ml.estimators.boosting import DEFAULT_SETTINGS, BoosterSettings, as_booster, without_autologging
from nasicon_ml.estimators.domain import SourceDistances, fit_domain, source_distances
from nasicon_ml.estimators.fitting import FitContext, FittedTarget, fit_target, recipe_context
from nasicon_ml.estimators.targets import ANSWERS, TargetName, TrainingRows, measurement_temperature, training_rows
from nasicon_ml.estimators.uncertainty import (
    NEAR_PELLETS,
    OWN_TRUST,
    BetaCalibration,
    Circumstances,
    IntervalModel,
    fit_calibration,
    fit_intervals,
)
from nasicon_ml.evaluation.cross_validation import (
    UNKNOWN_SHARE,
    OutOfFoldIntervals,
    OutOfFoldPredictions,
    cross_validate,
    fit_own_kernels,
    out_of_fold_domain,
    out_of_fold_intervals,
    out_of_fold_probabilities,
)
from nasicon_ml.evaluation.plausibility import check_plausibility, physical_rules
from nasicon_ml.evaluation.scores import ImportanceCollector, loss, score_table
from nasicon_ml.evaluation.tuning import OptunaTuner, trial_table
from nasicon_ml.features.build import FeatureSet, build_features
from nasicon_ml.features.distances import nearest_neighbours, recipe_space
from nasicon_ml.features.processing import unknown_share
from nasicon_ml.model import PropertyModel
from nasicon_ml.trees.ensemble import TreeEnsemble

Progress = Callable[[str, float], None]
#: A file or a table of own pellets.
OwnPelletsInput = str | Path | pd.DataFrame

#: Level of the intervals in out-of-fold tables and scores.
REPORTED_LEVEL = 0.9
#: Libraries whose version can change a number.
DECISIVE_LIBRARIES = ("nasicon-ml", "numpy", "pandas", "scipy", "scikit-learn", "xgboost", "pymatgen", "matminer")


@dataclass(frozen=True)
class TrainingOptions:
    """How to train.

    Attributes
    ----------
    folds, repeats
        Number of grouped folds, and of repeats with new assignments of the sources to folds.
    seed
        Seed of folds, subsampling and tuning.
    trials
        Optuna trials for each target in each fold; 0 keeps the fixed settings.
    include_suspect
        Whether pellets marked suspect are used for training and scoring.
    exclude_sources
        Sources to leave out completely, for example to predict them afterwards.
    threads
        Number of folds fitted in parallel; it does not change any result.
    """

    folds: int = 10
    repeats: int = 1
    seed: int = 0
    trials: int = 0
    include_suspect: bool = False
    exclude_sources: tuple[str, ...] = ()
    threads: int = 2

    def __post_init__(self) -> None:
        """Raise FieldError if a number is too small."""
        for name, smallest in (("folds", 2), ("repeats", 1), ("seed", 0), ("trials", 0), ("threads", 1)):
            if getattr(self, name) < smallest:
                raise FieldError(name, getattr(self, name), f"a whole number from {smallest}")

    def recorded(self) -> dict[str, Any]:
        """Return the options that influence the model (all but threads) as JSON-compatible values."""
        recorded = asdict(self) | {"exclude_sources": list(self.exclude_sources)}
        del recorded["threads"]
        return recorded


@dataclass(frozen=True)
class AddedPellets:
    """Own pellets that are added to the training.

    Attributes
    ----------
    pellets
        As from `nasicon_ml.data.own_pellets.own_pellets`; no rows if there are none.
    sha256
        Their `nasicon_ml.data.own_pellets.own_checksum`; empty if there are none.
    """

    pellets: pd.DataFrame
    sha256: str

    @classmethod
    def read(cls, pellets_input: OwnPelletsInput | None, dataset: pd.DataFrame) -> AddedPellets:
        """Read own pellets, if any.

        Raises
        ------
        DatasetError
            If rows are invalid, or their source is also a source of the dataset.
        """
        if pellets_input is None:
            return cls(dataset.iloc[:0], "")
        pellets = own_pellets(pellets_input)
        refuse_known_sources(pellets, set(dataset[Column.SOURCE]))
        return cls(pellets, own_checksum(pellets))

    def append_to(self, dataset: pd.DataFrame) -> pd.DataFrame:
        """Return the dataset followed by the own pellets, whose keys are changed where they are not unique."""
        if self.pellets.empty:
            return dataset
        keys = self.pellets[Column.PELLET_ID]
        is_duplicate = keys.isin(dataset[Column.PELLET_ID])
        renamed = self.pellets.assign(**{Column.PELLET_ID.value: keys.where(~is_duplicate, "own pellet " + keys)})
        return pd.concat([dataset, renamed], ignore_index=True)

    def recorded(self) -> dict[str, Any]:
        """Return the entries for the metadata of the model."""
        if self.pellets.empty:
            return {}
        return {"added_pellets": len(self.pellets), "added_sha256": self.sha256}

    def remove_from(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table without the rows of own pellets."""
        return table[~table[Column.SOURCE].isin(self.pellets[Column.SOURCE])].reset_index(drop=True)

    def remove_from_model(self, model: PropertyModel) -> PropertyModel:
        """Return the model without own pellets among its measured pellets, and with the domain of the dataset."""
        if self.pellets.empty:
            return model
        pellets = self.remove_from(model.pellets)
        sites = occupancies(pellets[Column.FORMULA].to_list())
        space = recipe_space(pellets, sites=sites)
        sources = pellets[Column.SOURCE].to_numpy(dtype=object)
        to_sources = source_distances(space, space, sources).mean_of_nearest(np.asarray(sources))
        domain = fit_domain(pellets[list(MODEL_INPUT)], sites, to_sources, sources)
        return replace(model, pellets=pellets, domain=domain)


def with_known_problems(model: PropertyModel, dataset: Path) -> PropertyModel:
    """Return the model with the problems of its dataset file and the rules that it violates in its metadata."""
    checked = check_plausibility(model)
    broken = checked[~checked["holds"]]
    metadata = replace(
        model.metadata,
        validation=count_problems(dataset),
        rules_checked=len(checked),
        broken_rules=tuple(broken["rule"]),
        broken_statements=dict(zip(broken["rule"], broken["statement"], strict=True)),
        broken_scopes={rule.name: rule.scope for rule in physical_rules() if rule.name in set(broken["rule"])},
    )
    return replace(model, metadata=metadata)


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training run.

    Attributes
    ----------
    model
        Trained on all pellets. Its intervals and calibration come from the out-of-fold predictions of the first
        repeat; further repeats only make the scores more precise.
    options
        The options of the training.
    scores
        target, subset, model, metric, value, n_rows, n_sources; includes the activation energy, which converts
        conductivity to other temperatures.
    out_of_fold
        One row per target, repeat and pellet: measured, predicted, lower and upper (of 90 %; lower_50, upper_50,
        lower_80, upper_80), composition_only, median, on the scale of reports (log10(S/cm), %, probability), with
        source, system, fold, temperatures, unknown share of the processing, the level that an interval needs to
        contain the measured value, and the domain score for the other folds. The model stores six decimals.
    importance
        target, feature, importance, spread.
    folds
        target, repeat, fold, source.
    dataset_path, dataset_sha256
        Path and checksum of the dataset.
    rows_used
        Number of pellets by target.
    settings
        Settings of the final trees by target.
    seconds
        Wall time.
    trials
        All trials of all searches of settings (`nasicon_ml.evaluation.tuning.trial_table`).
    """

    model: PropertyModel
    options: TrainingOptions
    scores: pd.DataFrame
    out_of_fold: pd.DataFrame
    importance: pd.DataFrame
    folds: pd.DataFrame
    dataset_path: str
    dataset_sha256: str
    rows_used: dict[str, int]
    settings: dict[TargetName, BoosterSettings]
    seconds: float
    trials: pd.DataFrame = field(default_factory=pd.DataFrame)


@without_autologging()
def train(
    options: TrainingOptions | None = None,
    *,
    dataset: str | Path | None = None,
    add: OwnPelletsInput | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train the three models and score them on unseen sources.

    Parameters
    ----------
    options
        Options of the training; by default those of the demo.
    dataset
        File of a pellet table; the committed one by default.
    add
        Own pellets, a file or a table, as a separate source; no result contains their rows (`AddedPellets`).
    progress
        Called with a message and the finished share, 0 to 1.

    Raises
    ------
    DatasetError
        If the checksum of the dataset is wrong, a target has too few pellets, or own pellets are invalid.
    FieldError
        If a source to leave out does not exist.
    LeakageError
        If a source has rows on both sides of a split, which would be a bug.
    """
    started = time.perf_counter()
    options = options or TrainingOptions()
    path = datasets_folder() / PELLETS_FILE if dataset is None else Path(dataset)
    report = progress or (lambda _message, _share: None)
    report("reading the dataset", 0.0)
    pellets = _select_pellets(load_pellets(path, include_suspect=options.include_suspect), options)
    dataset_rows, added = len(pellets), AddedPellets.read(add, pellets)
    pellets = added.append_to(pellets)
    report("computing features", 0.01)
    data = _TrainingData.prepare(pellets, options)
    advance = _step_counter(report, options.repeats * options.folds * len(ANSWERS) + len(TargetName))
    _check_fold_count(data)
    energies, energy_error_ev = _cross_validate_energies(data)
    results = [_cross_validate_target(data, name, energy_error_ev, advance) for name in ANSWERS]
    out_of_fold = pd.concat([result.frame for result in results], ignore_index=True)
    shown, energies = (added.remove_from(frame) for frame in (out_of_fold, energies))
    scores = score_table(pd.concat([shown, energies], ignore_index=True))
    sha256 = dataset_checksum(path)
    rows_used = {str(result.name): len(result.rows.rows) for result in results}
    metadata = ModelMetadata(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        dataset_sha256=sha256,
        dataset_rows=dataset_rows,
        options=options.recorded() | added.recorded(),
        versions=_versions(path),
        rows_used=rows_used,
        scores=tuple({str(key): value for key, value in row.items()} for row in scores.to_dict("records")),
    )
    own = fit_own_kernels(out_of_fold, pellets, seed=options.seed)
    model, settings = _final_model(data, results, metadata, advance)
    model = replace(model, own=own, out_of_fold_csv=to_csv(rounded(shown)))
    report("checking dataset and model", 0.99)
    model = with_known_problems(added.remove_from_model(model), path)
    report("done", 1.0)
    folds = ["target", "repeat", "fold", str(Column.SOURCE)]
    return TrainingResult(
        model=model,
        options=options,
        scores=scores,
        out_of_fold=shown,
        importance=pd.concat([result.importance for result in results], ignore_index=True),
        folds=shown[folds].drop_duplicates().sort_values(folds, ignore_index=True),
        dataset_path=str(path),
        dataset_sha256=sha256,
        rows_used=rows_used,
        settings=settings,
        seconds=time.perf_counter() - started,
        trials=trial_table(data.tuner),
    )


def _versions(dataset: Path) -> dict[str, str]:
    """Return the versions of the decisive libraries, and of the dataset if it has one."""
    versions = {name: importlib.metadata.version(name) for name in DECISIVE_LIBRARIES}
    edition = dataset_version(dataset.parent)
    return versions | ({"dataset": edition} if edition else {})


def _select_pellets(pellets: pd.DataFrame, options: TrainingOptions) -> pd.DataFrame:
    known = set(pellets[Column.SOURCE])
    for source in options.exclude_sources:
        if source not in known:
            raise FieldError(Column.SOURCE, source, "a source with pellets in the dataset", nearest(source, known))
    for column in (Column.PELLET_ID, Column.SOURCE):
        missing = int(pellets[column].isna().sum())
        if missing:
            raise DatasetError(
                f"{column.value} is missing in {missing} pellets; each needs one ('nasicon-ml data validate' "
                "says where)"
            )
    kept = ~pellets[Column.SOURCE].isin(options.exclude_sources) & pellets[Column.FORMULA].notna()
    return pellets[kept].reset_index(drop=True)


def _step_counter(report: Progress, total: int) -> Callable[[str], None]:
    """Return a function that reports the next of `total` steps as done."""
    done = itertools.count(1)
    return lambda message: report(message, 0.02 + 0.97 * next(done) / total)


@dataclass(frozen=True)
class _TrainingData:
    """Data that all targets share: pellets, their features, and their circumstances among other sources."""

    sources: Strings
    options: TrainingOptions
    full: FitContext
    composition_only: FitContext
    circumstances: Circumstances
    sites: OccupancyTable
    by_source: SourceDistances
    tuner: OptunaTuner

    @classmethod
    def prepare(cls, pellets: pd.DataFrame, options: TrainingOptions) -> _TrainingData:
        sites = occupancies(pellets[Column.FORMULA].to_list())
        composition = build_features(pellets, FeatureSet.COMPOSITION, sites=sites)
        space = recipe_space(pellets, sites=sites)
        sources = pellets[Column.SOURCE].to_numpy(dtype=object)
        near = nearest_neighbours(space, space, NEAR_PELLETS, query_sources=sources, reference_sources=sources)
        context = recipe_context(
            pellets, DEFAULT_SETTINGS, sites=sites, seed=options.seed, threads=options.threads
        )
        circumstances = Circumstances(
            unknown_share(pellets),
            near.distances.mean(axis=1),
            measurement_temperature(pellets),
            sites.per_row(sites.systems),
        )
        alone = replace(context, features=composition, perturbed=())
        by_source, tuner = source_distances(space, space, sources), OptunaTuner(options.trials)
        return cls(sources, options, context, alone, circumstances, sites, by_source, tuner)


@dataclass(frozen=True)
class _CrossValidatedTarget:
    """Cross-validation of one target: its out-of-fold table, and the parts that the final model uses."""

    name: TargetName
    rows: TrainingRows
    frame: pd.DataFrame
    importance: pd.DataFrame
    intervals: IntervalModel | None
    calibration: BetaCalibration | None


def _cross_validate_target(
    data: _TrainingData, name: TargetName, energy_error_ev: float, advance: Callable[[str], None]
) -> _CrossValidatedTarget:
    options, pellets = data.options, data.full.pellets
    rows = training_rows(pellets, name)
    collector = ImportanceCollector(pellets, name, rows, FeatureSet.FULL, seed=options.seed)
    energy_error = energy_error_ev if name is TargetName.CONDUCTIVITY else 0.0
    repeats = [
        cross_validate(
            data.full,
            data.composition_only,
            name,
            rows,
            folds=options.folds,
            seed=options.seed + repeat,
            tuner=data.tuner if options.trials else None,
            inspect=collector.inspect if repeat == 0 else None,
            advance=lambda: advance(f"cross-validating {name.replace('_', ' ')}"),
        )
        for repeat in range(options.repeats)
    ]
    frames = [_out_of_fold_frame(data, name, found, repeat, energy_error) for repeat, found in enumerate(repeats)]
    first, intervals, calibration = repeats[0].full, None, None
    if name is TargetName.PHASE_PURITY:
        calibration = fit_calibration(first, rows.y, trust=OWN_TRUST)
    else:
        circumstances = data.circumstances.take(rows.rows)
        intervals = fit_intervals(name, rows.y, first, data.sources[rows.rows], circumstances, energy_error)
    return _CrossValidatedTarget(
        name, rows, pd.concat(frames, ignore_index=True), collector.frame(), intervals, calibration
    )


def _check_fold_count(data: _TrainingData) -> None:
    """Raise DatasetError if a target has fewer sources than folds."""
    for name in TargetName:
        rows = training_rows(data.full.pellets, name).rows
        n_sources = len(np.unique(data.sources[rows].astype(str)))
        if n_sources < data.options.folds:
            raise DatasetError(
                f"{name}: {len(rows)} usable pellets from {n_sources} sources are too few for "
                f"{data.options.folds} folds"
            )


def _cross_validate_energies(data: _TrainingData) -> tuple[pd.DataFrame, float]:
    """Return the out-of-fold table of the activation energy, and its mean absolute error in eV."""
    name = TargetName.ACTIVATION_ENERGY
    rows = training_rows(data.full.pellets, name)
    folds = min(5, data.options.folds)
    predictions = cross_validate(data.full, data.composition_only, name, rows, folds=folds, seed=data.options.seed)
    return _out_of_fold_frame(data, name, predictions, 0, 0.0), loss(name, rows.y, predictions.full)


def _out_of_fold_frame(
    data: _TrainingData, name: TargetName, predictions: OutOfFoldPredictions, repeat: int, energy_error: float
) -> pd.DataFrame:
    rows, y = predictions.rows.rows, predictions.rows.y
    pellets = data.full.pellets.iloc[rows].reset_index(drop=True)
    predicted, composition_only = predictions.full, predictions.composition_only
    intervals = OutOfFoldIntervals.missing(len(y))
    if name is TargetName.PHASE_PURITY:
        predicted, composition_only = (
            out_of_fold_probabilities(y, margin, predictions.fold, trust=OWN_TRUST)
            for margin in (predicted, composition_only)
        )
    elif name is not TargetName.ACTIVATION_ENERGY:
        circumstances = data.circumstances.take(rows)
        intervals = out_of_fold_intervals(
            name, predictions, data.sources[rows], circumstances, energy_error_ev=energy_error
        )
    columns: dict[str, Any] = {"target": str(name), "repeat": repeat, "fold": predictions.fold}
    copied = (
        Column.PELLET_ID, Column.SOURCE, Column.SYSTEM, Column.MEASUREMENT_TEMPERATURE_C,
        Column.SINTERING_TEMPERATURE_C,
    )  # fmt: skip
    columns |= {str(column): pellets[column].to_numpy() for column in copied}
    columns |= {"measured": y, "predicted": predicted} | intervals.columns()
    columns |= {"composition_only": composition_only, "median": predictions.median}
    columns[UNKNOWN_SHARE] = data.circumstances.unknown[rows]
    columns[str(Column.DOMAIN_SCORE)] = out_of_fold_domain(
        data.full.pellets, data.sites, data.by_source, rows, predictions.fold
    )
    return pd.DataFrame(columns)


def _final_model(
    data: _TrainingData,
    results: list[_CrossValidatedTarget],
    metadata: ModelMetadata,
    advance: Callable[[str], None],
) -> tuple[PropertyModel, dict[TargetName, BoosterSettings]]:
    fitted: dict[TargetName, FittedTarget] = {}
    settings = dict(data.full.settings)
    for result in results:
        name, rows = result.name, result.rows
        all_rows = np.ones(len(rows.rows), dtype=bool)
        context = data.full
        if data.options.trials:
            context = data.tuner(context, name, rows, all_rows)
        settings[name] = context.settings[name]
        fitted[name] = fit_target(context, name, rows, all_rows)
        advance(f"fitting {name.replace('_', ' ')} to all pellets")
    energy = fitted[TargetName.CONDUCTIVITY].energy
    assert energy is not None  # noqa: S101 -- the conductivity model always contains an energy model
    names = data.full.features.names
    ensembles = {name: target.ensemble(len(names)) for name, target in fitted.items()}
    ensembles[TargetName.ACTIVATION_ENERGY] = TreeEnsemble.from_xgboost(as_booster(energy), len(names))
    pellets = data.full.pellets
    to_sources = data.by_source.mean_of_nearest(data.sources)
    model = PropertyModel(
        boosters=ensembles,
        feature_set=str(FeatureSet.FULL),
        feature_names=names,
        intervals={result.name: result.intervals for result in results if result.intervals is not None},
        calibration=next(result.calibration for result in results if result.calibration is not None),
        domain=fit_domain(pellets[list(MODEL_INPUT)], data.sites, to_sources, data.sources),
        pellets=pellets,
        metadata=metadata,
        priors={name: target.prior for name, target in fitted.items() if target.prior is not None},
    )
    return model, settings
