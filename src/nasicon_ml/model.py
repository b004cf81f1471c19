"""The model as a user holds it: recipes in, answers with uncertainty, neighbours and domain out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.arrays import Floats, Ints, Strings
from nasicon_ml.bundle.parts import ModelParts
from nasicon_ml.bundle.store import load_bundle, save_bundle
from nasicon_ml.columns import CONDUCTIVITY_INTERVAL, DENSITY_INTERVAL, PREDICTION, ROOM_TEMPERATURE_C, Column
from nasicon_ml.composition import OccupancyTable, occupancies
from nasicon_ml.errors import BundleError
from nasicon_ml.estimators.boosting import raw_prediction
from nasicon_ml.estimators.domain import NEAR_SOURCES, Compared, Domain
from nasicon_ml.estimators.fitting import FittedTarget
from nasicon_ml.estimators.own_pellets import Known, known_pellets, moved_answers, refuse_known_to_trees
from nasicon_ml.estimators.phases import ASKED_PELLETS, PhaseMemory
from nasicon_ml.estimators.targets import ANSWERS, TARGETS, TargetName, measurement_temperature
from nasicon_ml.estimators.uncertainty import NEAR_PELLETS, Circumstances
from nasicon_ml.features.build import build_features, pair_features
from nasicon_ml.features.distances import (
    Neighbours,
    RecipePairs,
    RecipeSpace,
    nearest_neighbours_among,
    recipe_space,
)
from nasicon_ml.features.neighbours import DistinctPoints, MeasuredPellets, distinct_points, pair_points
from nasicon_ml.features.processing import unknown_share
from nasicon_ml.trees.prediction import MANY_RECIPES, PairedRecipes, worth_pairing

if TYPE_CHECKING:
    from nasicon_ml.estimators.boosting import Trees


@dataclass(frozen=True)
class Answers:
    """Answers to n recipes.

    Attributes
    ----------
    numbers
        By column, shape (n,): all predicted numbers, the system, whether inside the domain; with own pellets also
        how many were used and how far they moved the answers.
    secondary_phases
        The likely ones of each recipe, the likeliest first.
    domain_notes
        Why each recipe lies outside the domain; empty for those inside.
    nearest
        The nearest training pellets of each recipe, shape (n, k).
    pellet_ids
        Keys of all training pellets.
    """

    numbers: Mapping[Column, NDArray[Any]]
    secondary_phases: Sequence[tuple[str, ...]]
    domain_notes: Sequence[tuple[str, ...]]
    nearest: Neighbours
    pellet_ids: Strings

    @property
    def named_positions(self) -> Ints:
        """Positions of the nearest training pellets that the table names, shape (n, `NEAR_PELLETS`)."""
        return self.nearest.positions[:, :NEAR_PELLETS]

    def table(self, index: pd.Index[Any] | None = None) -> pd.DataFrame:
        """Return the answers as a table, "; " between phases, notes and the keys of the nearest pellets."""
        words = {
            Column.LIKELY_SECONDARY_PHASES: self.secondary_phases,
            Column.DOMAIN_NOTES: self.domain_notes,
            Column.NEAREST_PELLETS: self.pellet_ids[self.named_positions],
        }
        joined = {
            column: np.array(["; ".join(row) for row in texts], dtype=object) for column, texts in words.items()
        }
        values = {**self.numbers, **joined}
        moved = [column for column in self.numbers if column not in PREDICTION]
        return pd.DataFrame({str(column): values[column] for column in (*PREDICTION, *moved)}, index=index)


@dataclass(frozen=True)
class PropertyModel(ModelParts):
    """Conductivity, density and phase purity of recipes; its attributes are those of `ModelParts`."""

    def __repr__(self) -> str:
        """Return one line: when it was trained, on what."""
        known = self.metadata
        return (
            f"<PropertyModel trained {known.created[:10]} on {known.dataset_rows:,} pellets "
            f"(dataset {known.dataset_sha256[:12]}), features {self.feature_set}>"
        )

    def predict(self, table: pd.DataFrame, *, level: float = 0.9, own: pd.DataFrame | None = None) -> pd.DataFrame:
        """Answer a table of recipes.

        Parameters
        ----------
        table
            Columns `nasicon_ml.columns.MODEL_INPUT`, n rows, as `nasicon_ml.recipe` makes it. Where the
            measurement temperature is missing, conductivity is at 25 °C.
        level
            Probability with which the intervals should hold the truth.
        own
            Measured pellets of one's own, as `data.own_pellets.own_pellets` reads them, which move the answers.

        Returns
        -------
        pandas.DataFrame
            Columns `nasicon_ml.columns.PREDICTION`, n rows, index of `table`; with own pellets also those that say
            how many were used and how far they moved the answers.

        Raises
        ------
        FormulaError
            If a formula cannot be read.
        FieldError
            If the level is outside what the number of pellets supports.
        BundleError
            If the installed version computes other features than the model was trained on, or the model cannot
            take own pellets, or was trained with these.
        """
        return self.answer(table, level=level, own=own).table(table.index)

    def answer(
        self,
        table: pd.DataFrame,
        *,
        level: float = 0.9,
        own: pd.DataFrame | None = None,
        neighbours: int = NEAR_PELLETS,
    ) -> Answers:
        """Answer a table of recipes as `predict` does, in values instead of a table.

        Parameters
        ----------
        table, level, own
            As for `predict`.
        neighbours
            How many nearest pellets the answers hold, at least `NEAR_PELLETS` and at most all.
        """
        prepared, features = self._prepare(table, None)
        answered = self._answer(prepared, features, level)
        numbers = answered.numbers | {Column.SYSTEM: prepared.sites.per_row(prepared.sites.systems)}
        if own is not None:
            numbers |= self._moved(own, answered, features, level)
        wanted = (self.reporting, max(neighbours, NEAR_PELLETS)), (self.phases.pellets, ASKED_PELLETS)
        found, with_phases = nearest_neighbours_among(prepared.space, self.space, wanted)
        return Answers(
            numbers,
            self.phases.likely(with_phases, prepared.sites, table[Column.ADDITIVE]),
            answered.compared.reasons(answered.to_sources),
            self._among_all(found),
            self.pellets[Column.PELLET_ID].to_numpy(dtype=object),
        )

    def scores(
        self, table: pd.DataFrame, *, level: float = 0.9, sites: OccupancyTable | None = None
    ) -> dict[Column, NDArray[Any]]:
        """Answer very many recipes, in numbers alone: what `predict` says, without names, phases and reasons.

        Parameters
        ----------
        table, level
            As for `predict`. Choices may be categorical columns, which costs less.
        sites
            The table's occupancies, if the caller has them: then no formula is read, and the table needs none.

        Returns
        -------
        dict
            Column -> array of shape (n,): the conductivity, its interval and the activation energy, the relative
            density and its interval, the phase purity, whether inside the domain, and the domain score; the
            numbers that `predict` gives, however the recipes are divided among calls.
        """
        return self._answer(*self._prepare(table, sites), level).numbers

    def _prepare(
        self, table: pd.DataFrame, sites: OccupancyTable | None
    ) -> tuple[_Prepared, Floats | PairedRecipes]:
        """Return the recipes, as pairs where that saves time, and their features."""
        sites = occupancies(table[Column.FORMULA].to_list()) if sites is None else sites
        pairs = RecipePairs.from_table(table, sites) if len(table) >= MANY_RECIPES else None
        prepared = _Prepared(table, sites, pairs)
        if pairs is None or not worth_pairing(pairs):
            return prepared, self._features(table, sites)
        features = pair_features(pairs.processing, self.feature_set, pairs.sites)
        self._check_names(features.names)
        return prepared, PairedRecipes(pairs, features)

    def _answer(self, prepared: _Prepared, features: Floats | PairedRecipes, level: float) -> _Answered:
        """Return all answers in numbers, and what they were made from."""
        table, sites = prepared.table, prepared.sites
        around = self.measured.nearest_distances(prepared.points, NEAR_PELLETS, NEAR_SOURCES)
        to_sources = around.sources.mean(axis=1)
        compared = self._judge.compare(table, sites)
        circumstances = Circumstances(
            unknown_share(table, compared.blank),
            around.pellets.mean(axis=1),
            measurement_temperature(table),
            sites.per_row(sites.systems),
        )
        numbers: dict[Column, Any] = self._conductivity(features, circumstances, level)
        numbers |= self._density(features, circumstances, level)
        margin = self._fitted(TargetName.PHASE_PURITY).learned(features)
        numbers[Column.PREDICTED_PHASE_PURITY] = self.calibration.probability(margin)
        score = compared.score(to_sources)
        numbers |= {Column.INSIDE_DOMAIN: score < 1, Column.DOMAIN_SCORE: score}
        return _Answered(prepared, circumstances, compared, to_sources, numbers)

    def nearest(self, table: pd.DataFrame, k: int = 3) -> Neighbours:
        """Find the k training pellets nearest to each recipe (positions in `pellets`, and distances).

        A pellet of which no conductivity, density or purity is known is none of them.
        """
        found = nearest_neighbours_among(recipe_space(table), self.space, ((self.reporting, k),))
        return self._among_all(found[0])

    def _among_all(self, found: Neighbours) -> Neighbours:
        """Return neighbours among `reporting` with their positions among all pellets."""
        return replace(found, positions=self.reporting[found.positions])

    @cached_property
    def reporting(self) -> Ints:
        """Positions of the training pellets that report a conductivity, density or purity; all if none does."""
        known = self.pellets[[str(TARGETS[name].column) for name in ANSWERS]].notna().any(axis=1).to_numpy()
        return np.flatnonzero(known) if known.any() else np.arange(len(known))

    @cached_property
    def space(self) -> RecipeSpace:
        """The training pellets in recipe space."""
        return recipe_space(self.pellets)

    @cached_property
    def measured(self) -> MeasuredPellets:
        """The training pellets, sorted for measuring how near recipes lie."""
        return MeasuredPellets.from_sources(self.space, self.pellets[Column.SOURCE].to_numpy(dtype=object))

    @cached_property
    def _judge(self) -> Domain:
        """The domain; of a bundle that did not count the sources of anions, with those of its pellets."""
        if self.domain.sources:
            return self.domain
        sites = occupancies(self.pellets[Column.FORMULA].to_list())
        return self.domain.with_anions(sites, self.pellets[Column.SOURCE].to_numpy(dtype=object))

    @cached_property
    def phases(self) -> PhaseMemory:
        """The secondary phases the training pellets named."""
        return PhaseMemory.from_pellets(self.pellets)

    def _features(self, table: pd.DataFrame, sites: OccupancyTable) -> Floats:
        features = build_features(table, self.feature_set, sites=sites)
        self._check_names(features.names)
        return features.values

    def _check_names(self, names: tuple[str, ...]) -> None:
        if names != self.feature_names:
            differ = sorted(set(names) ^ set(self.feature_names))
            raise BundleError(
                f"this bundle was trained on other features than this version computes "
                f"({len(differ)} differ: {', '.join(differ[:5]) or 'their order'}); "
                f"train again, or install the version in its card ({self.metadata.versions})"
            )

    def _fitted(self, name: TargetName, energy: Trees | None = None) -> FittedTarget:
        return FittedTarget(name, self.boosters[name], energy, self.priors.get(name))

    def _conductivity(
        self, features: Floats | PairedRecipes, circumstances: Circumstances, level: float
    ) -> dict[Column, Any]:
        trees = self.boosters[TargetName.ACTIVATION_ENERGY]
        energy_ev = raw_prediction(trees, features)
        _refuse_impossible(energy_ev)
        fitted = self._fitted(TargetName.CONDUCTIVITY, trees)
        point = fitted.reported(features, circumstances.temperature_c, energy_ev)
        lower, upper = self.intervals[TargetName.CONDUCTIVITY].interval(point, circumstances, level)
        interval = (10.0**value for value in (point, lower, upper))
        found = dict(zip(CONDUCTIVITY_INTERVAL, interval, strict=True))
        return found | {Column.PREDICTED_ACTIVATION_ENERGY_EV: energy_ev}

    def _density(
        self, features: Floats | PairedRecipes, circumstances: Circumstances, level: float
    ) -> dict[Column, Any]:
        point = self._fitted(TargetName.RELATIVE_DENSITY).reported(features, circumstances.temperature_c)
        ends = self.intervals[TargetName.RELATIVE_DENSITY].interval(point, circumstances, level)
        return dict(zip(DENSITY_INTERVAL, (point, *ends), strict=True))

    def _moved(
        self, own: pd.DataFrame, answered: _Answered, features: Floats | PairedRecipes, level: float
    ) -> dict[Any, Any]:
        """Bring answers up to date with own pellets."""
        circumstances = answered.circumstances
        known = self.known(own)
        learned = self._learned(features)
        at_25 = replace(circumstances, temperature_c=np.full(len(circumstances.temperature_c), ROOM_TEMPERATURE_C))
        point = learned[TargetName.CONDUCTIVITY]
        lower, upper = self.intervals[TargetName.CONDUCTIVITY].interval(point, at_25, level)
        half = np.maximum(upper - point, point - lower)
        moved: dict[Any, Any] = moved_answers(known, answered.prepared.space, learned, answered.numbers, half)
        used = np.unique(np.concatenate([one.rows for one in known.values()]))
        return moved | {Column.OWN_PELLETS: np.full(len(point), len(used))}

    def learned(self, table: pd.DataFrame) -> dict[TargetName, Floats]:
        """Predict on the scale the model learns: log10(S/cm) at 25 °C, log10 of the porosity, probability, eV.

        Raises
        ------
        FormulaError, BundleError
            As `predict`.
        """
        return self._learned(self._features(table, occupancies(table[Column.FORMULA].to_list())))

    def known(self, own: pd.DataFrame | None) -> dict[TargetName, Known]:
        """Return what own pellets say about each answer; nothing where there are none.

        Raises
        ------
        BundleError
            If the model cannot take own pellets, or was trained with these.
        """
        if own is None:
            return {}
        refuse_known_to_trees(own, self.metadata.options)
        return known_pellets(self.own, own, self.learned(own))

    def _learned(self, features: Floats | PairedRecipes) -> dict[TargetName, Floats]:
        """Predict on the scale the model learns, conductivity at 25 °C; of purity, the probability."""
        found = {name: self._fitted(name).learned(features) for name in self.boosters}
        found[TargetName.PHASE_PURITY] = self.calibration.probability(found[TargetName.PHASE_PURITY])
        return found

    def save(self, folder: str | Path) -> Path:
        """Write the model as a bundle (`nasicon_ml.bundle.store.save_bundle`)."""
        return save_bundle(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> PropertyModel:
        """Read a bundle (`nasicon_ml.bundle.store.load_bundle`)."""
        return cls.from_parts(load_bundle(folder))

    @classmethod
    def from_parts(cls, parts: ModelParts) -> PropertyModel:
        """Return the model of fitted parts."""
        return cls(**{name.name: getattr(parts, name.name) for name in fields(parts)})


@dataclass(frozen=True, eq=False, repr=False)
class OwnModel(PropertyModel):
    """A model whose answers are always moved by the same own pellets; nothing of them is saved with it.

    Attributes
    ----------
    measured_own
        The pellets, as `data.own_pellets.own_pellets` reads them.
    """

    measured_own: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def of(cls, model: PropertyModel, own: pd.DataFrame) -> OwnModel:
        """Return a model with own pellets.

        Raises
        ------
        BundleError
            If the model cannot take own pellets, or was trained with these.
        """
        model.known(own)
        parts = {part.name: getattr(model, part.name) for part in fields(model)}
        return cls(**parts, measured_own=own)

    def answer(
        self,
        table: pd.DataFrame,
        *,
        level: float = 0.9,
        own: pd.DataFrame | None = None,
        neighbours: int = NEAR_PELLETS,
    ) -> Answers:
        """Answer as `PropertyModel.answer` does, with these own pellets where no others are given."""
        own = self.measured_own if own is None else own
        return super().answer(table, level=level, own=own, neighbours=neighbours)

    def scores(
        self, table: pd.DataFrame, *, level: float = 0.9, sites: OccupancyTable | None = None
    ) -> dict[Column, NDArray[Any]]:
        """Answer as `PropertyModel.scores` does, with these own pellets."""
        prepared, features = self._prepare(table, sites)
        answered = self._answer(prepared, features, level)
        return answered.numbers | self._moved(self.measured_own, answered, features, level)


#: Far beyond what any pellet has, in eV: trees that answer so were not made by a training.
_POSSIBLE_ENERGIES_EV = (-1.0, 10.0)


def _refuse_impossible(energy_ev: Floats) -> None:
    """Refuse activation energies that no pellet can have; conductivity and density are held within bounds."""
    lowest, highest = energy_ev.min(initial=0.0), energy_ev.max(initial=0.0)
    if not (_POSSIBLE_ENERGIES_EV[0] <= lowest and highest <= _POSSIBLE_ENERGIES_EV[1]):
        raise BundleError(
            f"the model answers an activation energy of {max(-lowest, highest):.3g} eV, which no pellet can have;"
            " its trees are damaged, or were not made by a training"
        )


@dataclass(frozen=True)
class _Prepared:
    """Recipes as a table, by their occupancies, and, where there are many, as pairs."""

    table: pd.DataFrame
    sites: OccupancyTable
    pairs: RecipePairs | None = None

    @cached_property
    def space(self) -> RecipeSpace:
        """The recipes as points."""
        return recipe_space(self.table, sites=self.sites)

    @property
    def points(self) -> DistinctPoints:
        """Where the recipes lie, each different part of them once."""
        return distinct_points(self.space, self.sites) if self.pairs is None else pair_points(self.pairs)


@dataclass(frozen=True)
class _Answered:
    """Recipes, their answers in numbers, and what these were made from."""

    prepared: _Prepared
    circumstances: Circumstances
    compared: Compared
    to_sources: Floats
    numbers: dict[Column, Any]
