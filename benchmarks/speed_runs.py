"""The timed runs; each is executed in a separate process and prints one JSON object."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nasicon_ml.columns import MODEL_INPUT, Column, Kind
from nasicon_ml.estimators.boosting import as_booster
from nasicon_ml.model import PropertyModel
from nasicon_ml.screening import SearchSpace
from nasicon_ml.screening.engine import screen
from nasicon_ml.screening.objectives import Question
from nasicon_ml.screening.scoring import Effort
from nasicon_ml.workflows.predict import default_bundle

#: A space of 10.2 million recipes; its beginnings are the smaller ones.
SPACE: dict[str, Any] = {
    "name": "speed",
    "compositions": [
        {"hosts": "Ti", "dopants": ["Al", "Sc", "Ga", "Cr"], "x": {"from": 0.1, "to": 0.6, "step": 0.01}},
        {"system": "LAGP", "x": {"from": 0.3, "to": 0.6, "step": 0.01}},
    ],
    "processing": {
        "atmosphere": ["air", "Ar"],
        "synthesis_route": ["solid_state", "sol_gel", "melt_quench"],
        "densification": ["conventional", "spark_plasma"],
        "particle_size_um": [0.31, 1.0, 3.1],
        "sintering_temperature_c": {"from": 600, "to": 1000, "step": 20},
        "sintering_time_h": [1, 2, 4, 6, 8, 12, 18, 24, 30],
        "heating_rate_c_min": [1, 2, 3, 5, 10, 20, 50],
    },
}
#: Steps so fine that recipes drawn from the space have no processing in common.
FINE: dict[str, Any] = {
    "sintering_temperature_c": {"from": 600, "to": 1000, "step": 0.1},
    "sintering_time_h": {"from": 1, "to": 30, "step": 0.01},
    "heating_rate_c_min": {"from": 1, "to": 50, "step": 0.01},
}
#: Number of recipes in the matrix of the run `limit`; larger runs evaluate it repeatedly.
_MATRIX = 65_536


def screening(recipes: int, threads: int, engine: str = "local") -> dict[str, Any]:
    """Screen the first recipes of the space with intervals, purity and domain."""
    space = SearchSpace.from_dict(SPACE)
    if recipes > space.size:
        raise ValueError(f"the space has {space.size} recipes only")
    return _screened(space, Beginning(space, recipes), recipes, Effort(threads, engine=engine))


def drawn(recipes: int, threads: int, engine: str = "local") -> dict[str, Any]:
    """Screen recipes drawn from the space, almost all of which differ in processing."""
    space = SearchSpace.from_dict(SPACE | {"processing": SPACE["processing"] | FINE})
    return _screened(space, space.sample(recipes), recipes, Effort(threads, engine=engine))


def _screened(space: SearchSpace, part: Any, recipes: int, effort: Effort) -> dict[str, Any]:
    model = PropertyModel.load(default_bundle())
    screen(Beginning(space, 2048), model, Question(), Effort(effort.threads))  # imports, and tables made once
    before = _peak_mb()
    begun, used = time.perf_counter(), time.process_time()
    result = screen(part, model, Question(), effort)
    return {
        "recipes": recipes,
        "threads": effort.threads,
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - used,
        "peak_mb": _peak_mb(),
        "warm_mb": before,
        "best_s_cm": float(result.aggregate.kept.values[0]),
    }


class Beginning:
    """The first recipes of a space."""

    def __init__(self, space: SearchSpace, size: int) -> None:
        self._space, self.size = space, size
        self.at, self.fingerprint, self.to_json = space.at, space.fingerprint, space.to_json
        self.default_chunk_size = space.default_chunk_size

    def chunk(self, start: int, stop: int) -> Any:
        """Return the recipes from `start` to `stop`."""
        return self._space.chunk(start, min(stop, self.size))


def limit(recipes: int, threads: int) -> dict[str, Any]:
    """Evaluate the same trees on a precomputed single-precision matrix, as the lower limit of the time."""
    model = PropertyModel.load(default_bundle())
    X = np.ascontiguousarray(_features(model, min(recipes, _MATRIX)), dtype=np.float32)
    boosters = [as_booster(trees) for trees in model.boosters.values()]
    for booster in boosters:
        booster.set_param({"nthread": threads})
        booster.inplace_predict(X[:2048], predict_type="margin")
    begun, used, left = time.perf_counter(), time.process_time(), recipes
    while left > 0:
        for booster in boosters:
            booster.inplace_predict(X[:left], predict_type="margin")
        left -= len(X)
    return {
        "recipes": recipes,
        "threads": threads,
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - used,
    }


def _features(model: PropertyModel, recipes: int) -> Any:
    from nasicon_ml.features.build import build_features

    candidates = SearchSpace.from_dict(SPACE).chunk(0, recipes)
    return build_features(candidates.table, model.feature_set, sites=candidates.sites).values


def usual(recipes: int, threads: int) -> dict[str, Any]:
    """Run a typical user's program: Magpie statistics of all formulas, processing columns, XGBRegressor."""
    return _users(recipes, threads, once=False)


def usual_once(recipes: int, threads: int) -> dict[str, Any]:
    """Run a careful user's program: as `usual`, but each different formula is featurized once."""
    return _users(recipes, threads, once=True)


def _users(recipes: int, threads: int, *, once: bool) -> dict[str, Any]:
    from matminer.featurizers.composition import ElementProperty
    from pymatgen.core import Composition
    from xgboost import XGBRegressor

    space = SearchSpace.from_dict(SPACE)
    # Positions are spread over the space because neighbours have the same few compositions.
    positions = np.linspace(0, space.size - 1, recipes).astype(np.int64)
    candidates = space.at(positions)
    table = candidates.table.assign(**{str(Column.FORMULA): candidates.formulas(range(recipes))})
    featurizer = ElementProperty.from_preset("magpie")
    featurizer.set_n_jobs(1)

    def features(frame: pd.DataFrame) -> Any:
        texts = frame[Column.FORMULA]
        different = texts.drop_duplicates() if once else texts
        formulas = pd.DataFrame({"composition": [Composition(text) for text in different]})
        magpie = featurizer.featurize_dataframe(formulas, "composition", pbar=False)
        if once:
            magpie = magpie.set_index(different.to_numpy()).loc[texts].reset_index(drop=True)
        numbers = [str(c) for c in MODEL_INPUT if c.kind is Kind.NUMBER]
        choices = [str(c) for c in MODEL_INPUT if c.kind is Kind.CATEGORY]
        made = pd.get_dummies(frame[choices].astype("object"))
        return pd.concat([magpie[featurizer.feature_labels()], frame[numbers], made], axis=1).astype(float)

    X = features(table.head(200))
    fitted = [XGBRegressor(random_state=0, n_jobs=threads).fit(X, np.arange(len(X)) % 7) for _ in range(3)]
    begun, used = time.perf_counter(), time.process_time()
    X = features(table)
    for model in fitted:
        model.predict(X.reindex(columns=model.get_booster().feature_names, fill_value=0.0))
    return {
        "recipes": recipes,
        "threads": threads,
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time() - used,
    }


def training(times: int, threads: int) -> dict[str, Any]:
    """Train with default options on the dataset, repeated `times` times with slightly changed numbers."""
    import tempfile

    from nasicon_ml.data.files import PELLETS_FILE, datasets_folder
    from nasicon_ml.workflows.train import TrainingOptions, train

    frame = pd.read_csv(datasets_folder() / PELLETS_FILE, dtype=str, keep_default_na=False)
    rng = np.random.default_rng(0)
    copies = [frame]
    for number in range(1, times):
        copy = frame.copy()
        copy[str(Column.PELLET_ID)] += f"_{number}"
        for column in (Column.SINTERING_TEMPERATURE_C, Column.CONDUCTIVITY_TOTAL_S_CM):
            cells = pd.to_numeric(copy[column], errors="coerce")
            moved = cells * rng.uniform(0.99, 1.01, size=len(cells))
            copy[str(column)] = [
                f"{new:.6g}" if np.isfinite(new) else old for new, old in zip(moved, copy[column], strict=True)
            ]
        copies.append(copy)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pellets.csv"
        pd.concat(copies).to_csv(path, index=False)
        begun, used = time.perf_counter(), time.process_time()
        result = train(TrainingOptions(threads=threads), dataset=path)
        return {
            "times": times,
            "rows": result.model.metadata.dataset_rows,
            "seconds": time.perf_counter() - begun,
            "cpu_seconds": time.process_time() - used,
            "peak_mb": _peak_mb(),
        }


def daily(recipes: int, repeats: int) -> dict[str, Any]:
    """Time common calls: one recipe, a table with neighbours, features by the matminer interface."""
    from nasicon_ml.features import feature_names
    from nasicon_ml.features.matminer_api import NasiconRecipe
    from nasicon_ml.recipe import Recipe
    from nasicon_ml.workflows.predict import predict

    pellets = PropertyModel.load(default_bundle()).pellets
    table = pd.concat([pellets] * -(-recipes // len(pellets)), ignore_index=True).iloc[:recipes]
    table = table[[str(column) for column in MODEL_INPUT]]
    recipe = Recipe(formula="LATP x=0.3", sintering_temperature_c=900)
    featurizer = NasiconRecipe()
    featurizer.set_n_jobs(1)
    entries = pellets[list(featurizer.columns)].to_numpy(dtype=object).tolist()
    timed: dict[str, tuple[int, Callable[[], Any]]] = {
        "`predict(recipe)` in a loop": (1, lambda: predict(recipe)),
        "`predict(table)` with the three nearest pellets": (recipes, lambda: predict(table).frame()),
        f"matminer's `featurize_many`, {len(feature_names())} features": (
            len(entries), lambda: featurizer.featurize_many(entries, pbar=False),
        ),
    }  # fmt: skip
    rows = []
    for what, (count, call) in timed.items():
        call()  # fills caches
        seconds = []
        for _ in range(repeats):
            begun = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begun)
        rows.append({"what": what, "recipes": count, "seconds": float(np.median(seconds))})
    return {"rows": rows, "seconds": sum(row["seconds"] for row in rows)}


def _peak_mb() -> float:
    """Return the peak memory of this process; `getrusage` would include that of its parent before the fork."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


RUNS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "screening": screening,
    "drawn": drawn,
    "screening_in_processes": partial(screening, engine="processes"),
    "drawn_in_processes": partial(drawn, engine="processes"),
    "limit": limit,
    "usual": usual,
    "usual_once": usual_once,
    "training": training,
    "daily": daily,
}


def main() -> None:
    """Execute the run named on the command line with its two numbers, and print the measurements."""
    name, first, second = sys.argv[1:]
    print(json.dumps(RUNS[name](int(first), int(second))))
