"""What others would use: from the median to matminer with a forest. None of them ever sees a held-out result.

A peer reads recipes, row by row and without results, into inputs of its own; then it is given inputs and values of
the training rows, and inputs alone of the rows it is asked for. It cannot peek: nothing else is handed to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.features.build import FeatureSet, build_features
from nasicon_ml.features.distances import RecipeSpace, recipe_distances, recipe_space
from nasicon_ml.features.processing import PROCESSING_FIELDS

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Inputs = Any  # a matrix, an array of words or a RecipeSpace: what a peer makes of recipes

#: What a peer may read: the recipe, its system, and the structure that only the OBELiX recipe asks for.
INPUT_COLUMNS = (
    *MODEL_INPUT, Column.SYSTEM, Column.LATTICE_A_ANGSTROM, Column.LATTICE_C_ANGSTROM, Column.SPACE_GROUP,
)  # fmt: skip
_SAME_DISTANCE = 1e-9


class InputKind(Enum):
    """What a peer needs to know of a pellet."""

    COMPOSITION = "composition"
    PROCESSING = "processing"
    STRUCTURE = "structure"


@dataclass(frozen=True)
class Setting:
    """What is asked of a peer: a probability or a number, with which seed, with how many trees in a forest."""

    is_probability: bool
    seed: int
    trees: int


Answer = Callable[[Inputs, Floats, Inputs, Setting], Floats]


@dataclass(frozen=True)
class Baseline:
    """One of the others.

    Attributes
    ----------
    name
        As the table calls it.
    reads
        What it needs to know.
    inputs
        From recipes to inputs, row by row.
    answer
        From training inputs, training values, inputs asked for and setting to predictions.
    """

    name: str
    reads: InputKind
    inputs: Callable[[pd.DataFrame], Inputs]
    answer: Answer


def read(peers: tuple[Baseline, ...], pellets: pd.DataFrame) -> dict[str, Inputs]:
    """Let every peer read the pellets; results are not among what it gets."""
    recipes = pellets[list(INPUT_COLUMNS)]
    shared: dict[Any, Inputs] = {}
    for peer in peers:
        if peer.inputs not in shared:
            shared[peer.inputs] = peer.inputs(recipes)
    return {peer.name: shared[peer.inputs] for peer in peers}


def take(inputs: Inputs, rows: Ints) -> Inputs:
    """Keep some rows of any kind of inputs."""
    return inputs.take(rows) if isinstance(inputs, RecipeSpace) else inputs[rows]


def _systems(recipes: pd.DataFrame) -> Inputs:
    return recipes[Column.SYSTEM].to_numpy(dtype=object).astype(str)


def _alkalis(recipes: pd.DataFrame) -> Inputs:
    return np.array([system[:1] for system in _systems(recipes)])


def element_fractions(recipes: pd.DataFrame) -> Floats:
    """Fractions of the elements that occur; shape (n, n_elements)."""
    return _by_formula(recipes, _fractions_of)


def element_amounts(recipes: pd.DataFrame) -> Floats:
    """Amounts of the elements per formula unit as written; shape (n, n_elements)."""
    return _by_formula(recipes, lambda formulas: _amounts_of(formulas)[0])


def magpie_statistics(recipes: pd.DataFrame) -> Floats:
    """Compute the Magpie preset of matminer (10.1038/npjcompumats.2016.28); shape (n, 132)."""
    return _by_formula(recipes, _magpie_of)


def site_features(recipes: pd.DataFrame) -> Floats:
    """Our own features of the composition, what is undefined at 0; shape (n, n_features)."""
    return np.nan_to_num(build_features(recipes, FeatureSet.COMPOSITION).values)


def raw_processing(recipes: pd.DataFrame) -> Floats:
    """Columns of the processing as they stand, one a choice, and the amount of additive; NaN if not given."""
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
    """Element fractions beside raw processing columns."""
    return np.hstack([element_fractions(recipes), raw_processing(recipes)])


def obelix_recipe(recipes: pd.DataFrame) -> Floats:
    """Return what OBELiX's own baseline reads (10.1039/d5dd00441a): amounts, lattice, space group one-hot."""
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
    """Median, or the share of ones where a probability is asked for."""
    return float(np.mean(values) if setting.is_probability else np.median(values))


def group_average(known: Inputs, values: Floats, asked: Inputs, setting: Setting) -> Floats:
    """Answer the middle of the training rows of the same group; of all of them for a group never seen."""
    by_group = {group: _average(values[known == group], setting) for group in np.unique(known)}
    overall = _average(values, setting)
    return np.array([by_group.get(group, overall) for group in asked])


def nearest_neighbour(known: Inputs, values: Floats, asked: Inputs, setting: Setting) -> Floats:
    """Answer the value of the nearest recipe; the middle of those at the same distance."""
    gaps = recipe_distances(asked, known)
    nearest = gaps <= gaps.min(axis=1, keepdims=True) + _SAME_DISTANCE
    return np.array([_average(values[row], setting) for row in nearest])


def _fitted(make: Callable[[Setting], Any]) -> Answer:
    def answer(known: Inputs, values: Floats, asked: Inputs, setting: Setting) -> Floats:
        model = make(setting).fit(known, values)
        found = model.predict_proba(asked)[:, 1] if setting.is_probability else model.predict(asked)
        return np.asarray(found, dtype=np.float64)

    return answer


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


def gaussian_process(known: Inputs, values: Floats, asked: Inputs, setting: Setting) -> Floats:
    """Matern and white kernel on standardised inputs; a probability is learned as the numbers 0 and 1."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    wide = (1e-3, 1e3)
    kernel = ConstantKernel(1.0, wide) * Matern(np.sqrt(known.shape[1]), (0.1, 1e4), nu=1.5) + WhiteKernel(
        0.5, wide
    )
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=setting.seed)
    found = make_pipeline(StandardScaler(), process).fit(known, values).predict(asked)
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


def baselines_with_inputs(*what: InputKind) -> tuple[Baseline, ...]:
    """Choose the peers that need no more than this."""
    return tuple(peer for peer in BASELINES if peer.reads in what)
