"""The model for users: from recipes to predictions with uncertainty, nearest pellets and domain."""

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
from nasicon_ml.estimators.domain import NEAR_SOURCES, Domain, DomainComparison
from nasicon_ml.estimators.fitting import FittedTarget
from nasicon_ml.estimators.own_pellets import (
    KnownPellets,
    check_not_trained_on,
    known_pellets,
    update_answers,
)
from nasicon_ml.estimators.phases import PHASE_NEIGHBOURS, SecondaryPhases
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
from nasicon_ml.trees.prediction import MIN_PAIRED_RECIPES, PairedRecipes, pairing_is_faster

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
        Likely secondary phases of each recipe, the likeliest first.
    domain_notes
        Why each recipe lies outside the domain; empty for those inside.
    nearest
        The nearest training pellets of each recipe, shape (n, k).
    pellet_ids
        Identifiers of all training pellets.
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
        """Return the answers as a table, with "; " between phases, notes and identifiers of nearest pellets."""
        texts = {
            Column.LIKELY_SECONDARY_PHASES: self.secondary_phases,
            Column.DOMAIN_NOTES: self.domain_notes,
            Column.NEAREST_PELLETS: self.pellet_ids[self.named_positions],
        }
        values: dict[Column, Any] = dict(self.numbers)
        for column, rows in texts.items():
            values[column] = np.array(["; ".join(row) for row in rows], dtype=object)
        from_own_pellets = [column for column in self.numbers if column not in PREDICTION]
        columns = (*PREDICTION, *from_own_pellets)
        return pd.DataFrame({str(column): values[column] for column in columns}, index=index)


@dataclass(frozen=True)
class PropertyModel(ModelParts):
    """Conductivity, density and phase purity of recipes; its attributes are those of `ModelParts`."""

    def __repr__(self) -> str:
        """Return one line with the training date and the dataset."""
        metadata = self.metadata
        return (
            f"<PropertyModel trained {metadata.created[:10]} on {metadata.dataset_rows:,} pellets "
            f"(dataset {metadata.dataset_sha256[:12]}), features {self.feature_set}>"
        )

    def predict(self, table: pd.DataFrame, *, level: float = 0.9, own: pd.DataFrame | None = None) -> pd.DataFrame:
        """Predict a table of recipes.

        Parameters
        ----------
        table
            Columns `nasicon_ml.columns.MODEL_INPUT`, n rows, as `nasicon_ml.recipe` makes it. Where the
            measurement temperature is missing, conductivity is at 25 °C.
        level
            Probability with which the intervals should contain the true value.
        own
            The user's measured pellets, as read by `data.own_pellets.own_pellets`; the answers are conditioned on
            them.

        Returns
        -------
        pandas.DataFrame
            Columns `nasicon_ml.columns.PREDICTION`, n rows, index of `table`; with own pellets also columns with
            their number and how far they moved the answers.

        Raises
        ------
        FormulaError
            If a formula cannot be read.
        FieldError
            If the level is outside what the number of pellets supports.
        BundleError
            If the installed version computes other features than the model was trained on, or the model does not
            support own pellets or was trained on these.
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
        """Predict a table of recipes like `predict`, but return values instead of a table.

        Parameters
        ----------
        table, level, own
            As in `predict`.
        neighbours
            Number of nearest pellets in the answers, at least `NEAR_PELLETS` and at most all.
        """
        recipes, features = self._prepare(table, None)
        recipes = replace(recipes, pairs=None)  # the search for neighbours below needs the points of all recipes
        predicted = self._predict_numbers(recipes, features, level)
        numbers = predicted.numbers | {Column.SYSTEM: predicted.circumstances.system}
        if own is not None:
            numbers |= self._condition_on(own, predicted, features, level)
        nearest, nearest_with_phases = nearest_neighbours_among(
            recipes.space,
            self.space,
            ((self.reporting, max(neighbours, NEAR_PELLETS)), (self.phases.pellets, PHASE_NEIGHBOURS)),
        )
        return Answers(
            numbers,
            self.phases.likely_phases(nearest_with_phases, recipes.sites, table[Column.ADDITIVE]),
            predicted.comparison.reasons(predicted.source_distance),
            self._with_positions_in_pellets(nearest),
            self.pellets[Column.PELLET_ID].to_numpy(dtype=object),
        )

    def scores(
        self, table: pd.DataFrame, *, level: float = 0.9, sites: OccupancyTable | None = None
    ) -> dict[Column, NDArray[Any]]:
        """Predict many recipes, numbers only: the output of `predict` without names, phases and reasons.

        Parameters
        ----------
        table, level
            As in `predict`. Choices may be categorical columns, which is faster.
        sites
            The table's occupancies, if the caller has them: formulas are then not read and may be missing.

        Returns
        -------
        dict
            Column -> array of shape (n,): the conductivity, its interval and the activation energy, the relative
            density and its interval, the phase purity, whether inside the domain, and the domain score. The
            numbers equal those of `predict`, however the recipes are divided among calls.
        """
        return self._predict_numbers(*self._prepare(table, sites), level).numbers

    def _prepare(
        self, table: pd.DataFrame, sites: OccupancyTable | None
    ) -> tuple[_Recipes, Floats | PairedRecipes]:
        """Return the recipes and their features, as pairs where that is faster."""
        sites = occupancies(table[Column.FORMULA].to_list()) if sites is None else sites
        pairs = RecipePairs.from_table(table, sites) if len(table) >= MIN_PAIRED_RECIPES else None
        recipes = _Recipes(table, sites, pairs)
        if pairs is None or not pairing_is_faster(pairs):
            return recipes, self._features(table, sites)
        features = pair_features(pairs.processing, self.feature_set, pairs.sites)
        self._check_names(features.names)
        return recipes, PairedRecipes(pairs, features)

    def _predict_numbers(
        self, recipes: _Recipes, features: Floats | PairedRecipes, level: float
    ) -> _PredictedNumbers:
        """Return all predicted numbers, and what they were computed from."""
        table, sites = recipes.table, recipes.sites
        distances = self.measured.nearest_distances(recipes.points, NEAR_PELLETS, NEAR_SOURCES)
        source_distance = distances.sources.mean(axis=1)
        comparison = self._domain_with_anions.compare(table, sites)
        circumstances = Circumstances(
            unknown_share(table, comparison.uncovered_fields),
            distances.pellets.mean(axis=1),
            measurement_temperature(table),
            sites.per_row(sites.systems),
        )
        numbers: dict[Column, Any] = self._conductivity(features, circumstances, level)
        numbers |= self._density(features, circumstances, level)
        margin = self._fitted(TargetName.PHASE_PURITY).learned(features)
        numbers[Column.PREDICTED_PHASE_PURITY] = self.calibration.probability(margin)
        score = comparison.score(source_distance)
        numbers |= {Column.INSIDE_DOMAIN: score < 1, Column.DOMAIN_SCORE: score}
        return _PredictedNumbers(recipes, circumstances, comparison, source_distance, numbers)

    def nearest(self, table: pd.DataFrame, k: int = 3) -> Neighbours:
        """Find the k training pellets nearest to each recipe (positions in `pellets`, and distances).

        Pellets without conductivity, density and purity are skipped.
        """
        (nearest,) = nearest_neighbours_among(recipe_space(table), self.space, ((self.reporting, k),))
        return self._with_positions_in_pellets(nearest)

    def _with_positions_in_pellets(self, neighbours: Neighbours) -> Neighbours:
        """Convert positions among the `reporting` pellets to positions among all pellets."""
        return replace(neighbours, positions=self.reporting[neighbours.positions])

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
        """The training pellets, sorted for fast distance computation."""
        return MeasuredPellets.from_sources(self.space, self.pellets[Column.SOURCE].to_numpy(dtype=object))

    @cached_property
    def _domain_with_anions(self) -> Domain:
        """The domain, with the sources of anions counted from the pellets if an older bundle has no counts."""
        if self.domain.sources:
            return self.domain
        sites = occupancies(self.pellets[Column.FORMULA].to_list())
        return self.domain.with_anions(sites, self.pellets[Column.SOURCE].to_numpy(dtype=object))

    @cached_property
    def phases(self) -> SecondaryPhases:
        """The secondary phases reported for the training pellets."""
        return SecondaryPhases.from_pellets(self.pellets)

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
        _check_energies(energy_ev)
        fitted = self._fitted(TargetName.CONDUCTIVITY, trees)
        point = fitted.reported(features, circumstances.temperature_c, energy_ev)
        lower, upper = self.intervals[TargetName.CONDUCTIVITY].interval(point, circumstances, level)
        interval = (10.0**value for value in (point, lower, upper))
        numbers = dict(zip(CONDUCTIVITY_INTERVAL, interval, strict=True))
        return numbers | {Column.PREDICTED_ACTIVATION_ENERGY_EV: energy_ev}

    def _density(
        self, features: Floats | PairedRecipes, circumstances: Circumstances, level: float
    ) -> dict[Column, Any]:
        point = self._fitted(TargetName.RELATIVE_DENSITY).reported(features, circumstances.temperature_c)
        ends = self.intervals[TargetName.RELATIVE_DENSITY].interval(point, circumstances, level)
        return dict(zip(DENSITY_INTERVAL, (point, *ends), strict=True))

    def _condition_on(
        self, own: pd.DataFrame, predicted: _PredictedNumbers, features: Floats | PairedRecipes, level: float
    ) -> dict[Any, Any]:
        """Return the predicted numbers that own pellets change."""
        circumstances = predicted.circumstances
        known = self.known(own)
        learned = self._learned(features)
        at_25 = replace(circumstances, temperature_c=np.full(len(circumstances.temperature_c), ROOM_TEMPERATURE_C))
        point = learned[TargetName.CONDUCTIVITY]
        lower, upper = self.intervals[TargetName.CONDUCTIVITY].interval(point, at_25, level)
        half = np.maximum(upper - point, point - lower)
        updated: dict[Any, Any] = update_answers(known, predicted.recipes.space, learned, predicted.numbers, half)
        used = np.unique(np.concatenate([pellets.rows for pellets in known.values()]))
        return updated | {Column.OWN_PELLETS: np.full(len(point), len(used))}

    def learned(self, table: pd.DataFrame) -> dict[TargetName, Floats]:
        """Predict on the scale the model learns: log10(S/cm) at 25 °C, log10 of the porosity, probability, eV.

        Raises
        ------
        FormulaError, BundleError
            As in `predict`.
        """
        return self._learned(self._features(table, occupancies(table[Column.FORMULA].to_list())))

    def known(self, own: pd.DataFrame | None) -> dict[TargetName, KnownPellets]:
        """Return the own pellets with a value of each target; empty for None.

        Raises
        ------
        BundleError
            If the model does not support own pellets, or was trained on these.
        """
        if own is None:
            return {}
        check_not_trained_on(own, self.metadata.options)
        return known_pellets(self.own, own, self.learned(own))

    def _learned(self, features: Floats | PairedRecipes) -> dict[TargetName, Floats]:
        """Predict on the scale the model learns, conductivity at 25 °C; for purity, the probability."""
        learned = {name: self._fitted(name).learned(features) for name in self.boosters}
        learned[TargetName.PHASE_PURITY] = self.calibration.probability(learned[TargetName.PHASE_PURITY])
        return learned

    def save(self, folder: str | Path) -> Path:
        """Write the model as a bundle (`nasicon_ml.bundle.store.save_bundle`)."""
        return save_bundle(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> PropertyModel:
        """Read a bundle (`nasicon_ml.bundle.store.load_bundle`)."""
        return cls.from_parts(load_bundle(folder))

    @classmethod
    def from_parts(cls, parts: ModelParts) -> PropertyModel:
        """Return a model with the given fitted parts."""
        return cls(**{part.name: getattr(parts, part.name) for part in fields(parts)})


@dataclass(frozen=True, eq=False, repr=False)
class OwnModel(PropertyModel):
    """A model whose answers are always conditioned on the same own pellets, which are not saved with it.

    Attributes
    ----------
    measured_own
        The pellets, as read by `data.own_pellets.own_pellets`.
    """

    measured_own: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def of(cls, model: PropertyModel, own: pd.DataFrame) -> OwnModel:
        """Return a model with own pellets.

        Raises
        ------
        BundleError
            If the model does not support own pellets, or was trained on these.
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
        """Predict like `PropertyModel.answer`, with the own pellets of this model by default."""
        own = self.measured_own if own is None else own
        return super().answer(table, level=level, own=own, neighbours=neighbours)

    def scores(
        self, table: pd.DataFrame, *, level: float = 0.9, sites: OccupancyTable | None = None
    ) -> dict[Column, NDArray[Any]]:
        """Predict like `PropertyModel.scores`, with the own pellets of this model."""
        recipes, features = self._prepare(table, sites)
        predicted = self._predict_numbers(recipes, features, level)
        return predicted.numbers | self._condition_on(self.measured_own, predicted, features, level)


#: Bounds in eV, far beyond the energy of any pellet: trees that exceed them did not come from a training.
_POSSIBLE_ENERGIES_EV = (-1.0, 10.0)


def _check_energies(energy_ev: Floats) -> None:
    """Raise for impossible activation energies; conductivity and density are clipped to their bounds instead."""
    lowest, highest = energy_ev.min(initial=0.0), energy_ev.max(initial=0.0)
    if not (_POSSIBLE_ENERGIES_EV[0] <= lowest and highest <= _POSSIBLE_ENERGIES_EV[1]):
        raise BundleError(
            f"the model answers an activation energy of {max(-lowest, highest):.3g} eV, which no pellet can have;"
            " its trees are damaged, or were not made by a training"
        )


@dataclass(frozen=True)
class _Recipes:
    """Recipes as a table, their occupancies and, if there are many, the recipes as pairs."""

    table: pd.DataFrame
    sites: OccupancyTable
    pairs: RecipePairs | None = None

    @cached_property
    def space(self) -> RecipeSpace:
        """The recipes as points in recipe space."""
        return recipe_space(self.table, sites=self.sites)

    @property
    def points(self) -> DistinctPoints:
        """The recipes as points in recipe space, with equal parts computed once."""
        return distinct_points(self.space, self.sites) if self.pairs is None else pair_points(self.pairs)


@dataclass(frozen=True)
class _PredictedNumbers:
    """Recipes, their predicted numbers, and what these were computed from."""

    recipes: _Recipes
    circumstances: Circumstances
    comparison: DomainComparison
    source_distance: Floats
    numbers: dict[Column, Any]
