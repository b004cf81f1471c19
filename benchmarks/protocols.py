"""The protocols: the rows that are predicted, the training data of the models, and the scoring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from benchmarks.baselines import Baseline, InputKind, Inputs, baselines_with_inputs, compute_inputs
from benchmarks.dataset import BenchmarkData, Options, load_benchmark_data, obelix_pellets
from benchmarks.own_pellets import own_pellets
from benchmarks.predictions import (
    FLOOR_ALIKE,
    OURS,
    Predictions,
    baselines_out_of_fold,
    held_out,
    out_of_fold,
    with_floors,
)
from benchmarks.scoring import Results, Scoring, score, score_series
from nasicon_ml.arrays import Floats, Ints, Mask
from nasicon_ml.columns import Column
from nasicon_ml.estimators.fitting import fit_target
from nasicon_ml.estimators.targets import (
    ANSWERS,
    TARGETS,
    TargetName,
    TrainingRows,
    measurement_temperature,
    training_rows,
)
from nasicon_ml.evaluation.cross_validation import assert_disjoint, cross_validate
from nasicon_ml.evaluation.scores import coverage, mean_width
from nasicon_ml.workflows.train import REPORTED_LEVEL, TrainingOptions, train

OURS_SAME_ROWS = "ours, composition only, trained on these rows"
OURS_ALL_ROWS = "ours, composition only, trained on all our pellets"
OURS_WHOLE_RECIPE = "ours, whole recipe of the linked pellet"
LEFT_OUT_PAPER = "raj2023"
LEFT_OUT_SYSTEMS = ("LAGP", "LZP")
TITANIUM_GERMANIUM = ("LATP", "LAGP", "LATGP")
#: Least number of scored pellets in a test of transfer.
FEWEST_TRANSFERRED = 8


@dataclass
class Run:
    """One run of the benchmark; data that protocols share are computed once."""

    options: Options
    say: Callable[[str], None]
    _cached_predictions: dict[TargetName, Predictions] = field(default_factory=dict)

    @cached_property
    def data(self) -> BenchmarkData:
        """The committed pellets."""
        return load_benchmark_data(self.options)

    @cached_property
    def baselines(self) -> tuple[Baseline, ...]:
        """The baselines of all protocols but P1, which do not need lattice parameters."""
        return baselines_with_inputs(InputKind.COMPOSITION, InputKind.PROCESSING)

    @cached_property
    def inputs(self) -> dict[str, Inputs]:
        """The inputs of the baselines for the pellets."""
        return compute_inputs(self.baselines, self.data.pellets)

    def out_of_fold_predictions(self, name: TargetName) -> Predictions:
        """Return the out-of-fold predictions of a target."""
        if name not in self._cached_predictions:
            self.say(f"cross-validating {name.replace('_', ' ')}, ours and {len(self.baselines)} peers")
            self._cached_predictions[name] = out_of_fold(
                self.data, name, self.baselines, self.inputs, self.options
            )
        return self._cached_predictions[name]

    def score(
        self, protocol: str, subset: str, predictions: Predictions, chosen: Mask, *, ranks_only: bool = False
    ) -> Results:
        """Score a subset with the draws of this run."""
        scoring = Scoring(self.options.draws, self.options.seed, ranks_only)
        return score(protocol, subset, predictions, chosen, scoring)


def composition_only(run: Run) -> Results:
    """P1: the NASICON rows of OBELiX by composition only (and structure, for the recipe that needs it)."""
    found = Results()
    for subset, as_listed in (("OBELiX", False), ("OBELiX as listed, suspect rows too", True)):
        run.say(f"{subset}, ours and the peers")
        predictions = obelix_predictions(
            run, BenchmarkData.from_pellets(obelix_pellets(as_listed=as_listed), run.options)
        )
        found.extend(run.score("P1", subset, predictions, np.ones(len(predictions.frame), dtype=bool)))
    return found


def obelix_predictions(run: Run, obelix: BenchmarkData) -> Predictions:
    """Predict rows of OBELiX in folds of these rows, by own models of these rows and of all pellets."""
    name, options = TargetName.CONDUCTIVITY, run.options
    baselines = baselines_with_inputs(InputKind.COMPOSITION, InputKind.STRUCTURE)
    inputs = compute_inputs(baselines, obelix.pellets)
    rows = training_rows(obelix.pellets, name)
    kept = obelix.pellets.iloc[rows.rows].reset_index(drop=True)
    frames = []
    for repeat in range(options.repeats):
        context = obelix.composition_only
        found = cross_validate(context, context, name, rows, folds=options.folds, seed=options.seed + repeat)
        columns = from_all_pellets(run.data, obelix, rows, found.fold)
        columns[OURS_SAME_ROWS] = found.composition_only
        columns |= baselines_out_of_fold(obelix, name, rows, found.fold, baselines, inputs, options)
        frames.append(kept.assign(measured=rows.y, repeat=repeat, fold=found.fold, **columns))
    # The floor of pellets sintered alike is dropped because this protocol is about compositions only.
    frame = with_floors(run.data, name, pd.concat(frames, ignore_index=True)).drop(columns=FLOOR_ALIKE)
    ours = (OURS_ALL_ROWS, OURS_SAME_ROWS)
    return Predictions(name, frame, tuple(columns), ours)


def from_all_pellets(
    data: BenchmarkData, obelix: BenchmarkData, rows: TrainingRows, fold: Ints
) -> dict[str, Floats]:
    """Predict rows of OBELiX by own models trained on all pellets except those of the held-out sources.

    If every row is linked to a pellet of our dataset, the whole recipe of that pellet is predicted, too.
    """
    name = TargetName.CONDUCTIVITY
    training = training_rows(data.pellets, name)
    sources = data.pellets[Column.SOURCE].to_numpy()[training.rows]
    asked = obelix.pellets.iloc[rows.rows]
    temperature = measurement_temperature(asked)
    model_inputs = {OURS_ALL_ROWS: (data.composition_only, obelix.composition_only.features.values[rows.rows])}
    linked = pd.Series(np.arange(len(data.pellets)), index=data.pellets[Column.PELLET_ID]).reindex(
        asked[Column.PELLET_ID]
    )
    if linked.notna().all():
        model_inputs[OURS_WHOLE_RECIPE] = (data.full, data.full.features.values[linked.to_numpy(dtype=np.intp)])
    found = {key: np.empty(len(asked)) for key in model_inputs}
    for held in range(int(fold.max()) + 1):
        test = fold == held
        kept = ~np.isin(sources, asked[Column.SOURCE].to_numpy()[test])
        assert_disjoint(sources[kept], asked[Column.SOURCE][test])
        for key, (context, features) in model_inputs.items():
            model = fit_target(context, name, training, kept)
            found[key][test] = model.reported(features[test], temperature[test])
    return found


def conductivity(run: Run) -> Results:
    """P2: conductivity near room temperature."""
    predictions = run.out_of_fold_predictions(TargetName.CONDUCTIVITY)
    frame, found = predictions.frame, Results()
    sintered = frame[Column.SINTERING_TEMPERATURE_C].notna().to_numpy()
    common = frame[Column.SYSTEM].isin(TITANIUM_GERMANIUM).to_numpy()
    subsets = {
        "all": np.ones(len(frame), dtype=bool),
        "sintering temperature given": sintered,
        "LATP, LAGP, LATGP; sintering temperature given": sintered & common,
    }
    for subset, chosen in subsets.items():
        found.extend(run.score("P2", subset, predictions, chosen))
    return found


def density(run: Run) -> Results:
    """P3: relative density."""
    return _with_and_without_temperature(run, "P3", TargetName.RELATIVE_DENSITY)


def purity(run: Run) -> Results:
    """P4: phase purity; probabilities of ours and of the baselines are calibrated on the other folds."""
    return _with_and_without_temperature(run, "P4", TargetName.PHASE_PURITY)


def _with_and_without_temperature(run: Run, protocol: str, name: TargetName) -> Results:
    predictions = run.out_of_fold_predictions(name)
    sintered = predictions.frame[Column.SINTERING_TEMPERATURE_C].notna().to_numpy()
    found = run.score(protocol, "all", predictions, np.ones(len(sintered), dtype=bool))
    found.extend(run.score(protocol, "sintering temperature given", predictions, sintered))
    return found


def one_paper(run: Run) -> Results:
    """P5: one paper left out; intervals are those of a model trained without it.

    One constant of the features comes from its dilatometry (`features.processing`), as the page states.
    """
    found = Results()

    def asked(pellets: pd.DataFrame) -> Mask:
        return np.asarray(pellets[Column.SOURCE] == LEFT_OUT_PAPER)

    for name in ANSWERS:
        predictions = held_out(run.data, name, asked, run.baselines, run.inputs, run.options)
        if predictions is not None:
            everything = np.ones(len(predictions.frame), dtype=bool)
            found.extend(run.score("P5", LEFT_OUT_PAPER, predictions, everything, ranks_only=True))
    found.scores.extend(_coverage_of_paper(run))
    return found


def _coverage_of_paper(run: Run) -> list[dict[str, object]]:
    """Return coverage and width of the intervals of a model that is trained without the paper."""
    run.say(f"training without {LEFT_OUT_PAPER}, for its intervals")
    options = TrainingOptions(
        folds=run.options.folds, seed=run.options.seed, threads=run.options.threads,
        exclude_sources=(LEFT_OUT_PAPER,),
    )  # fmt: skip
    model = train(options).model
    pellets = run.data.pellets
    paper = pellets[pellets[Column.SOURCE] == LEFT_OUT_PAPER].reset_index(drop=True)
    answers = model.predict(paper, level=REPORTED_LEVEL)
    rows: list[dict[str, object]] = []
    ends = {
        TargetName.CONDUCTIVITY: (
            Column.PREDICTED_CONDUCTIVITY_LOWER_S_CM, Column.PREDICTED_CONDUCTIVITY_UPPER_S_CM
        ),
        TargetName.RELATIVE_DENSITY: (
            Column.PREDICTED_RELATIVE_DENSITY_LOWER_PCT, Column.PREDICTED_RELATIVE_DENSITY_UPPER_PCT
        ),
    }  # fmt: skip
    for name, (low, high) in ends.items():
        known = training_rows(paper, name)
        lower, upper = (answers[end].to_numpy(np.float64)[known.rows] for end in (low, high))
        if name is TargetName.CONDUCTIVITY:
            lower, upper = np.log10(lower), np.log10(upper)
        head = {"protocol": "P5", "target": str(name), "subset": LEFT_OUT_PAPER, "model": OURS}
        tail = {"spread": float("nan"), "n_rows": len(known.rows), "n_sources": 1}
        width = f"width_90_{TARGETS[name].unit}"
        rows.append(head | {"metric": "coverage_90", "mean": coverage(known.y, lower, upper)} | tail)
        rows.append(head | {"metric": width, "mean": mean_width(lower, upper)} | tail)
    return rows


def series(run: Run) -> Results:
    """P6: the order within series, and the regret of following it."""
    found = Results()
    for name in (TargetName.CONDUCTIVITY, TargetName.RELATIVE_DENSITY):
        part, _ = score_series(run.out_of_fold_predictions(name), Scoring(run.options.draws, run.options.seed))
        found.extend(part)
    return found


def transfer(run: Run) -> Results:
    """P7: a system predicted by models without training data of the system and of the works that report it."""
    found = Results()
    for system in LEFT_OUT_SYSTEMS:

        def asked(pellets: pd.DataFrame, system: str = system) -> Mask:
            return np.asarray(pellets[Column.SYSTEM] == system)

        for name in ANSWERS:
            predictions = held_out(run.data, name, asked, run.baselines, run.inputs, run.options)
            if predictions is None or (predictions.frame["repeat"] == 0).sum() < FEWEST_TRANSFERRED:
                continue
            everything = np.ones(len(predictions.frame), dtype=bool)
            found.extend(run.score("P7", f"without {system}", predictions, everything, ranks_only=True))
    return found


def own(run: Run) -> Results:
    """P8: the remaining pellets of a work after some are known."""
    run.say("training for the out-of-fold predictions that pellets of one's own condition")
    return own_pellets(run.options)


#: Protocols in the order of execution, as functions of the run.
PROTOCOLS: dict[str, Callable[[Run], Results]] = {
    "P1": composition_only,
    "P2": conductivity,
    "P3": density,
    "P4": purity,
    "P5": one_paper,
    "P6": series,
    "P7": transfer,
    "P8": own,
}
TITLES = {
    "P1": "composition only, public ground",
    "P2": "conductivity near room temperature",
    "P3": "relative density",
    "P4": "phase purity",
    "P5": f"one paper left out: {LEFT_OUT_PAPER}",
    "P6": "series",
    "P7": "transfer to a system never seen",
    "P8": "pellets of one's own",
}
