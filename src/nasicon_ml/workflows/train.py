"""Train the models: dataset in; model, scores, out-of-fold predictions and importance out.

Own pellets can be trained with. They are a source of their own in every fold, and no result holds a row of them:
out-of-fold tables, scores and folds are those of the dataset, and so are the bundle's measured pellets, by which
it finds neighbours and secondary phases and knows its domain. What remains of own pellets are the trees, the
intervals, the calibration and the covariance that learned from them, their number and a checksum.
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
from nasicon_ml.bundle.out_of_fold import rounded
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
#: What a table of own pellets may be given as.
Given = str | Path | pd.DataFrame

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
        Grouped folds, and how often the sources are assigned to folds anew.
    seed
        Of folds, subsampling and tuning.
    trials
        Optuna trials for each target in each fold; 0 keeps the fixed settings.
    include_suspect
        Whether pellets marked suspect teach and are scored.
    exclude_sources
        Sources to leave out altogether, to predict them afterwards.
    threads
        Folds fitted side by side; they change no number.
    """

    folds: int = 10
    repeats: int = 1
    seed: int = 0
    trials: int = 0
    include_suspect: bool = False
    exclude_sources: tuple[str, ...] = ()
    threads: int = 2

    def __post_init__(self) -> None:
        """Refuse numbers that cannot work."""
        for name, smallest in (("folds", 2), ("repeats", 1), ("seed", 0), ("trials", 0), ("threads", 1)):
            if getattr(self, name) < smallest:
                raise FieldError(name, getattr(self, name), f"a whole number from {smallest}")

    def recorded(self) -> dict[str, Any]:
        """Return the options that make a model, as plain values; threads change no number."""
        recorded = asdict(self) | {"exclude_sources": list(self.exclude_sources)}
        del recorded["threads"]
        return recorded


@dataclass(frozen=True)
class Added:
    """Own pellets that are trained with.

    Attributes
    ----------
    pellets
        As `nasicon_ml.data.own_pellets.own_pellets` returns them; none where none were given.
    sha256
        `nasicon_ml.data.own_pellets.own_checksum` of them; empty where there are none.
    """

    pellets: pd.DataFrame
    sha256: str

    @classmethod
    def read(cls, given: Given | None, dataset: pd.DataFrame) -> Added:
        """Read own pellets, if any, and refuse a source that is one of the dataset.

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
        """Return the dataset's pellets and then the own ones, with keys that differ from the dataset's."""
        if self.pellets.empty:
            return dataset
        keys = self.pellets[Column.PELLET_ID]
        clashing = keys.isin(dataset[Column.PELLET_ID])
        named = self.pellets.assign(**{Column.PELLET_ID.value: keys.where(~clashing, "own pellet " + keys)})
        return pd.concat([dataset, named], ignore_index=True)

    def recorded(self) -> dict[str, Any]:
        """Return what metadata keep of them."""
        if self.pellets.empty:
            return {}
        return {"added_pellets": len(self.pellets), "added_sha256": self.sha256}

    def left_out_of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with sources without their rows."""
        return table[~table[Column.SOURCE].isin(self.pellets[Column.SOURCE])].reset_index(drop=True)

    def withheld_from(self, model: PropertyModel) -> PropertyModel:
        """Return the model without their rows among its measured pellets, and with the dataset's domain."""
        if self.pellets.empty:
            return model
        pellets = self.left_out_of(model.pellets)
        sites = occupancies(pellets[Column.FORMULA].to_list())
        space = recipe_space(pellets, sites=sites)
        sources = pellets[Column.SOURCE].to_numpy(dtype=object)
        to_sources = source_distances(space, space, sources).mean_of_nearest(np.asarray(sources))
        domain = fit_domain(pellets[list(MODEL_INPUT)], sites, to_sources, sources)
        return replace(model, pellets=pellets, domain=domain)


def with_known_problems(model: PropertyModel, dataset: Path) -> PropertyModel:
    """Return the model with the findings of its dataset and the rules of the literature that it breaks.

    Parameters
    ----------
    model
        A trained model.
    dataset
        The file it was trained on.
    """
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
    """What a training run returns.

    Attributes
    ----------
    model
        Trained on all pellets; its intervals and calibration come from the out-of-fold predictions of the first
        repeat, further ones only steady the scores.
    options
        How it was trained.
    scores
        target, subset, model, metric, value, n_rows, n_sources; the activation energy, which carries
        conductivity to other temperatures, is scored, too.
    out_of_fold
        One row per target, repeat and pellet: measured, predicted, lower and upper (of 90 %; lower_50, upper_50,
        lower_80, upper_80), composition_only, median, on the scale of reports (log10(S/cm), %, probability), with
        source, system, fold, temperatures, share of the processing unknown, the level an interval needs to hold
        the measured value, and how far outside the domain of the other folds the pellet lies. The model keeps it
        to six decimals.
    importance
        target, feature, importance, spread.
    folds
        target, repeat, fold, source.
    dataset_path, dataset_sha256
        What was read.
    rows_used
        Pellets by target.
    settings
        Settings of the final trees by target.
    seconds
        Wall time.
    trials
        Where settings were searched: every trial of every search (`nasicon_ml.evaluation.tuning.trial_table`).
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
    add: Given | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train the three models and score them on sources they have not seen.

    Parameters
    ----------
    options
        How; the defaults are the demo's.
    dataset
        A pellet table; the committed one by default.
    add
        Own pellets, a file or a table, as a source of their own; no result holds a row of them (`Added`).
    progress
        Called with a message and the share done, 0 to 1.

    Raises
    ------
    DatasetError
        If the dataset was changed without renewing its checksum, holds too few pellets of a target, or own pellets
        are bad.
    FieldError
        If a source to leave out does not exist.
    LeakageError
        Never, unless the splitting itself is broken: then no result may come out.
    """
    started = time.perf_counter()
    options = options or TrainingOptions()
    path = datasets_folder() / PELLETS_FILE if dataset is None else Path(dataset)
    report = progress or (lambda _message, _share: None)
    report("reading the dataset", 0.0)
    pellets = _chosen_pellets(load_pellets(path, include_suspect=options.include_suspect), options)
    dataset_rows, added = len(pellets), Added.read(add, pellets)
    pellets = added.beside(pellets)
    report("computing features", 0.01)
    stage = _Stage.prepare(pellets, options)
    advance = _counting(report, options.repeats * options.folds * len(ANSWERS) + len(TargetName))
    _check_size(stage)
    energies, energy_error_ev = _assess_energies(stage)
    assessments = [_assess(stage, name, energy_error_ev, advance) for name in ANSWERS]
    out_of_fold = pd.concat([assessment.frame for assessment in assessments], ignore_index=True)
    shown, energies = (added.left_out_of(frame) for frame in (out_of_fold, energies))
    scores = score_table(pd.concat([shown, energies], ignore_index=True))
    sha256 = dataset_checksum(path)
    rows_used = {str(assessment.name): len(assessment.rows.rows) for assessment in assessments}
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
    model, settings = _final_model(stage, assessments, metadata, advance)
    model = replace(model, own=own, out_of_fold=rounded(shown))
    report("checking dataset and model", 0.99)
    model = with_known_problems(added.withheld_from(model), path)
    report("done", 1.0)
    folds = ["target", "repeat", "fold", str(Column.SOURCE)]
    return TrainingResult(
        model=model,
        options=options,
        scores=scores,
        out_of_fold=shown,
        importance=pd.concat([assessment.importance for assessment in assessments], ignore_index=True),
        folds=shown[folds].drop_duplicates().sort_values(folds, ignore_index=True),
        dataset_path=str(path),
        dataset_sha256=sha256,
        rows_used=rows_used,
        settings=settings,
        seconds=time.perf_counter() - started,
        trials=trial_table(stage.tuner),
    )


def _versions(dataset: Path) -> dict[str, str]:
    """Return the versions that decide the numbers: of the libraries, and of the dataset if it has one."""
    libraries = {name: importlib.metadata.version(name) for name in DECISIVE_LIBRARIES}
    edition = dataset_version(dataset.parent)
    return libraries | ({"dataset": edition} if edition else {})


def _chosen_pellets(pellets: pd.DataFrame, options: TrainingOptions) -> pd.DataFrame:
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


def _counting(report: Progress, total: int) -> Callable[[str], None]:
    """Return a function that reports one more of all steps as done."""
    done = itertools.count(1)
    return lambda message: report(message, 0.02 + 0.97 * next(done) / total)


@dataclass(frozen=True)
class _Stage:
    """What all targets share: pellets, their features, and their circumstances among other sources."""

    sources: Strings
    options: TrainingOptions
    full: FitContext
    composition_only: FitContext
    circumstances: Circumstances
    sites: OccupancyTable
    by_source: SourceDistances
    tuner: OptunaTuner

    @classmethod
    def prepare(cls, pellets: pd.DataFrame, options: TrainingOptions) -> _Stage:
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
class _Assessment:
    """One target, cross-validated: the table of it, and what the final model takes from it."""

    name: TargetName
    rows: TrainingRows
    frame: pd.DataFrame
    importance: pd.DataFrame
    intervals: IntervalModel | None
    calibration: BetaCalibration | None


def _assess(
    stage: _Stage, name: TargetName, energy_error_ev: float, advance: Callable[[str], None]
) -> _Assessment:
    options, pellets = stage.options, stage.full.pellets
    rows = training_rows(pellets, name)
    collector = ImportanceCollector(pellets, name, rows, FeatureSet.FULL, seed=options.seed)
    energy_error = energy_error_ev if name is TargetName.CONDUCTIVITY else 0.0
    repeats, frames = [], []
    for repeat in range(options.repeats):
        found = cross_validate(
            stage.full,
            stage.composition_only,
            name,
            rows,
            folds=options.folds,
            seed=options.seed + repeat,
            tuner=stage.tuner if options.trials else None,
            inspect=collector.inspect if repeat == 0 else None,
            advance=lambda: advance(f"cross-validating {name.replace('_', ' ')}"),
        )
        repeats.append(found)
        frames.append(_out_of_fold_frame(stage, name, found, repeat, energy_error))
    first, intervals, calibration = repeats[0].full, None, None
    if name is TargetName.PHASE_PURITY:
        calibration = fit_calibration(first, rows.y, trust=OWN_TRUST)
    else:
        around = stage.circumstances.take(rows.rows)
        intervals = fit_intervals(name, rows.y, first, stage.sources[rows.rows], around, energy_error)
    return _Assessment(name, rows, pd.concat(frames, ignore_index=True), collector.frame(), intervals, calibration)


def _check_size(stage: _Stage) -> None:
    """Refuse a dataset that cannot be divided into the folds asked for."""
    for name in TargetName:
        rows = training_rows(stage.full.pellets, name).rows
        n_sources = len(np.unique(stage.sources[rows].astype(str)))
        if n_sources < stage.options.folds:
            raise DatasetError(
                f"{name}: {len(rows)} usable pellets from {n_sources} sources are too few for "
                f"{stage.options.folds} folds"
            )


def _assess_energies(stage: _Stage) -> tuple[pd.DataFrame, float]:
    """Return the out-of-fold table of the activation energy, and its mean absolute error in eV."""
    name = TargetName.ACTIVATION_ENERGY
    rows = training_rows(stage.full.pellets, name)
    folds = min(5, stage.options.folds)
    found = cross_validate(stage.full, stage.composition_only, name, rows, folds=folds, seed=stage.options.seed)
    return _out_of_fold_frame(stage, name, found, 0, 0.0), loss(name, rows.y, found.full)


def _out_of_fold_frame(
    stage: _Stage, name: TargetName, found: OutOfFoldPredictions, repeat: int, energy_error: float
) -> pd.DataFrame:
    rows, y = found.rows.rows, found.rows.y
    pellets = stage.full.pellets.iloc[rows].reset_index(drop=True)
    predicted, composition_only = found.full, found.composition_only
    intervals = OutOfFoldIntervals.missing(len(y))
    if name is TargetName.PHASE_PURITY:
        predicted = out_of_fold_probabilities(y, found.full, found.fold, trust=OWN_TRUST)
        composition_only = out_of_fold_probabilities(y, found.composition_only, found.fold, trust=OWN_TRUST)
    elif name is not TargetName.ACTIVATION_ENERGY:
        around = stage.circumstances.take(rows)
        intervals = out_of_fold_intervals(name, found, stage.sources[rows], around, energy_error_ev=energy_error)
    columns: dict[str, Any] = {"target": str(name), "repeat": repeat, "fold": found.fold}
    carried = (
        Column.PELLET_ID, Column.SOURCE, Column.SYSTEM, Column.MEASUREMENT_TEMPERATURE_C,
        Column.SINTERING_TEMPERATURE_C,
    )  # fmt: skip
    columns |= {str(column): pellets[column].to_numpy() for column in carried}
    columns |= {"measured": y, "predicted": predicted} | intervals.columns()
    columns |= {"composition_only": composition_only, "median": found.median}
    columns[UNKNOWN_SHARE] = stage.circumstances.unknown[rows]
    columns[str(Column.DOMAIN_SCORE)] = out_of_fold_domain(
        stage.full.pellets, stage.sites, stage.by_source, rows, found.fold
    )
    return pd.DataFrame(columns)


def _final_model(
    stage: _Stage, assessments: list[_Assessment], metadata: ModelMetadata, advance: Callable[[str], None]
) -> tuple[PropertyModel, dict[TargetName, BoosterSettings]]:
    fitted: dict[TargetName, FittedTarget] = {}
    settings = dict(stage.full.settings)
    for name in ANSWERS:
        rows = training_rows(stage.full.pellets, name)
        everything = np.ones(len(rows.rows), dtype=bool)
        context = stage.full
        if stage.options.trials:
            context = stage.tuner(context, name, rows, everything)
        settings[name] = context.settings[name]
        fitted[name] = fit_target(context, name, rows, everything)
        advance(f"fitting {name.replace('_', ' ')} to all pellets")
    energy = fitted[TargetName.CONDUCTIVITY].energy
    assert energy is not None  # noqa: S101 -- conductivity always brings its energy
    names = stage.full.features.names
    grown = {name: target.ensemble(len(names)) for name, target in fitted.items()}
    grown[TargetName.ACTIVATION_ENERGY] = TreeEnsemble.from_xgboost(as_booster(energy), len(names))
    pellets = stage.full.pellets
    to_sources = stage.by_source.mean_of_nearest(stage.sources)
    calibrations = [a.calibration for a in assessments if a.calibration is not None]
    model = PropertyModel(
        boosters=grown,
        feature_set=str(FeatureSet.FULL),
        feature_names=names,
        intervals={a.name: a.intervals for a in assessments if a.intervals is not None},
        calibration=calibrations[0],
        domain=fit_domain(pellets[list(MODEL_INPUT)], stage.sites, to_sources, stage.sources),
        pellets=pellets,
        metadata=metadata,
        priors={name: target.prior for name, target in fitted.items() if target.prior is not None},
    )
    return model, settings
