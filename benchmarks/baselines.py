"""Baseline models for the comparison, from the median to matminer statistics with a random forest.

A baseline converts recipes to inputs row by row, without results. It is then fitted to inputs and values of the
training rows and receives only the inputs of the rows to predict, so that it cannot see held-out results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.arrays import Floats, Ints
from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.features.build import FeatureSet, build_features
from nasicon_ml.features.distances import RecipeSpace, recipe_distances, recipe_space
from nasicon_ml.features.processing import PROCESSING_FIELDS

Inputs = Any  # a matrix, an array of strings or a RecipeSpace, depending on the baseline

#: Columns that baselines may use: the recipe, its system, and the structure, which only the OBELiX recipe needs.
INPUT_COLUMNS = (
    *MODEL_INPUT, Column.SYSTEM, Column.LATTICE_A_ANGSTROM, Column.LATTICE_C_ANGSTROM, Column.SPACE_GROUP,
)  # fmt: skip
_SAME_DISTANCE = 1e-9


class InputKind(Enum):
    """The data of a pellet that a baseline needs."""

    COMPOSITION = "composition"
    PROCESSING = "processing"
    STRUCTURE = "structure"


@dataclass(frozen=True)
class Setting:
    """Settings of a fit: whether a probability is predicted, seed, and number of trees of a forest."""

    is_probability: bool
    seed: int
    trees: int


PredictFunction = Callable[[Inputs, Floats, Inputs, Setting], Floats]


@dataclass(frozen=True)
class Baseline:
    """A baseline model.

    Attributes
    ----------
    name
        Name in the tables.
    input_kind
        The data that it needs.
    inputs
        Function from recipes to inputs, row by row.
    predict
        Function from training inputs, training values, inputs to predict and setting to predictions.
    """

    name: str
    input_kind: InputKind
    inputs: Callable[[pd.DataFrame], Inputs]
    predict: PredictFunction


def compute_inputs(baselines: tuple[Baseline, ...], pellets: pd.DataFrame) -> dict[str, Inputs]:
    """Return the inputs of every baseline by name; results of the pellets are not passed to it."""
    recipes = pellets[list(INPUT_COLUMNS)]
    shared: dict[Any, Inputs] = {}
    for baseline in baselines:
        if baseline.inputs not in shared:
            shared[baseline.inputs] = baseline.inputs(recipes)
    return {baseline.name: shared[baseline.inputs] for baseline in baselines}


def take(inputs: Inputs, rows: Ints) -> Inputs:
    """Return the given rows of inputs of any kind."""
    return inputs.take(rows) if isinstance(inputs, RecipeSpace) else inputs[rows]


def _systems(recipes: pd.DataFrame) -> Inputs:
    return recipes[Column.SYSTEM].to_numpy(dtype=object).astype(str)


def _alkalis(recipes: pd.DataFrame) -> Inputs:
    return np.array([system[:1] for system in _systems(recipes)])


def element_fractions(recipes: pd.DataFrame) -> Floats:
    """Return the fractions of the elements that occur; shape (n, n_elements)."""
    return _by_formula(recipes, _fractions_of)


def element_amounts(recipes: pd.DataFrame) -> Floats:
    """Return the amounts of the elements per formula unit as written; shape (n, n_elements)."""
    return _by_formula(recipes, lambda formulas: _amounts_of(formulas)[0])


def magpie_statistics(recipes: pd.DataFrame) -> Floats:
    """Compute the Magpie preset of matminer (10.1038/npjcompumats.2016.28); shape (n, 132)."""
    return _by_formula(recipes, _magpie_of)


def site_features(recipes: pd.DataFrame) -> Floats:
    """Return the composition features of nasicon-ml, 0 where undefined; shape (n, n_features)."""
    return np.nan_to_num(build_features(recipes, FeatureSet.COMPOSITION).values)


def raw_processing(recipes: pd.DataFrame) -> Floats:
    """Return processing columns (choices one-hot) and the amount of additive; NaN if not stated."""
    columns: list[Any] = []
    for field in (*PROCESSING_FIELDS, Column.ADDITIVE_AMOUNT):
        if field.kind is Kind.NUMBER:
            columns.append(recipes[field].to_numpy(dtype=np.float64))
        else:
            codes = pd.Categorical(recipes[field], categories=list(field.choices)).codes
            columns.extend((codes == at).astype(np.float64) for at in range(len(field.choices)))
    columns.append(recipes[Column.ADDITIVE].notna().to_numpy(dtype=np.float64))
    return np.column_stack(columns)


def fractions_and_processing(recipes: pd.DataFrame) -> Floats:
    """Return element fractions and raw processing columns."""
    return np.hstack([element_fractions(recipes), raw_processing(recipes)])


def obelix_recipe(recipes: pd.DataFrame) -> Floats:
    """Return the inputs of OBELiX's baseline (10.1039/d5dd00441a): amounts, lattice, one-hot space group."""
    lattice = recipes[[Column.LATTICE_A_ANGSTROM, Column.LATTICE_C_ANGSTROM]].to_numpy(dtype=np.float64)
    groups = pd.get_dummies(recipes[Column.SPACE_GROUP]).to_numpy(dtype=np.float64)
    return np.hstack([element_amounts(recipes), lattice, groups])


def _by_formula(recipes: pd.DataFrame, compute: Callable[[list[str]], Floats]) -> Floats:
    codes, formulas = pd.factorize(recipes[Column.FORMULA])
    return compute([str(formula) for formula in formulas])[codes]


def _amounts_of(formulas: list[str]) -> tuple[Floats, Floats]:
    from pymatgen.core import Composition

    compositions = [Composition(formula) for formula in formulas]
    elements = sorted({str(element) for composition in compositions for element in composition})
    amounts = np.array([[float(composition[element]) for element in elements] for composition in compositions])
    return amounts, amounts.sum(axis=1, keepdims=True)


def _fractions_of(formulas: list[str]) -> Floats:
    amounts, total = _amounts_of(formulas)
    return np.asarray(amounts / total)


def _magpie_of(formulas: list[str]) -> Floats:
    from matminer.featurizers.composition import ElementProperty
    from pymatgen.core import Composition

    featurizer = ElementProperty.from_preset("magpie")
    return np.array([featurizer.featurize(Composition(formula)) for formula in formulas], dtype=np.float64)


def _average(values: Floats, setting: Setting) -> float:
    """Return the median, or the mean if a probability is predicted."""
    return float(np.mean(values) if setting.is_probability else np.median(values))


def group_average(training_inputs: Inputs, values: Floats, queries: Inputs, setting: Setting) -> Floats:
    """Predict the average of the training rows of the same group, or of all rows for an unknown group."""
    by_group = {group: _average(values[training_inputs == group], setting) for group in np.unique(training_inputs)}
    overall = _average(values, setting)
    return np.array([by_group.get(group, overall) for group in queries])


def nearest_neighbour(training_inputs: Inputs, values: Floats, queries: Inputs, setting: Setting) -> Floats:
    """Predict the value of the nearest recipe, or the average of equally near ones."""
    gaps = recipe_distances(queries, training_inputs)
    nearest = gaps <= gaps.min(axis=1, keepdims=True) + _SAME_DISTANCE
    return np.array([_average(values[row], setting) for row in nearest])


def _fitted(make: Callable[[Setting], Any]) -> PredictFunction:
    def predict(training_inputs: Inputs, values: Floats, queries: Inputs, setting: Setting) -> Floats:
        model = make(setting).fit(training_inputs, values)
        found = model.predict_proba(queries)[:, 1] if setting.is_probability else model.predict(queries)
        return np.asarray(found, dtype=np.float64)

    return predict


def _forest(setting: Setting) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestClassifier if setting.is_probability else RandomForestRegressor
    return kind(n_estimators=setting.trees, random_state=setting.seed)


def _extra_trees(setting: Setting) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    kind = ExtraTreesClassifier if setting.is_probability else ExtraTreesRegressor
    return kind(n_estimators=setting.trees, random_state=setting.seed)


def _xgboost(setting: Setting) -> Any:
    from xgboost import XGBClassifier, XGBRegressor

    kind = XGBClassifier if setting.is_probability else XGBRegressor
    return kind(n_jobs=1, random_state=setting.seed)


def gaussian_process(training_inputs: Inputs, values: Floats, queries: Inputs, setting: Setting) -> Floats:
    """Predict with Matern and white kernels on standardised inputs; probabilities are fitted as 0 and 1."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    wide = (1e-3, 1e3)
    kernel = ConstantKernel(1.0, wide) * Matern(
        np.sqrt(training_inputs.shape[1]), (0.1, 1e4), nu=1.5
    ) + WhiteKernel(0.5, wide)
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=setting.seed)
    found = make_pipeline(StandardScaler(), process).fit(training_inputs, values).predict(queries)
    return np.clip(found, 0.0, 1.0) if setting.is_probability else np.asarray(found)


MEDIAN = "median"
BASELINES: tuple[Baseline, ...] = (
    Baseline(MEDIAN, InputKind.COMPOSITION, _alkalis, group_average),
    Baseline("median of the system", InputKind.COMPOSITION, _systems, group_average),
    Baseline("nearest neighbour", InputKind.COMPOSITION, recipe_space, nearest_neighbour),
    Baseline("OBELiX recipe, random forest", InputKind.STRUCTURE, obelix_recipe, _fitted(_forest)),
    Baseline("Magpie, random forest", InputKind.COMPOSITION, magpie_statistics, _fitted(_forest)),
    Baseline("Magpie, XGBoost", InputKind.COMPOSITION, magpie_statistics, _fitted(_xgboost)),
    Baseline("element fractions, XGBoost", InputKind.COMPOSITION, element_fractions, _fitted(_xgboost)),
    Baseline("site features, Gaussian process", InputKind.COMPOSITION, site_features, gaussian_process),
    Baseline("fractions + processing, XGBoost", InputKind.PROCESSING, fractions_and_processing, _fitted(_xgboost)),
    Baseline(
        "fractions + processing, extra trees",
        InputKind.PROCESSING,
        fractions_and_processing,
        _fitted(_extra_trees),
    ),
)


def baselines_with_inputs(*kinds: InputKind) -> tuple[Baseline, ...]:
    """Return the baselines that need one of these kinds of inputs."""
    return tuple(baseline for baseline in BASELINES if baseline.input_kind in kinds)
