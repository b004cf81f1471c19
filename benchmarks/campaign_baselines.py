"""Baselines of campaigns: methods that know only the recipes of the series and the pellets made so far.

Their paths do not depend on the model of nasicon-ml. The paths of BayBE are computed in a separate environment
(`tools/baybe_paths.py`) and exchanged by files.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from benchmarks.campaign_series import Series
from nasicon_ml.arrays import Floats, Ints
from nasicon_ml.io import write_text

#: Order in which recipes are made, by method, series and first row.
Paths = dict[str, dict[str, dict[int, list[int]]]]


def inputs(fields: pd.DataFrame) -> Floats:
    """Return fields as standardised numbers and one-hot columns; shape (n, n_inputs)."""
    wide = pd.get_dummies(fields, dtype=np.float64)
    return np.asarray(((wide - wide.mean()) / wide.std(ddof=0)).to_numpy(dtype=np.float64))


def gaussian_process_choice(points: Floats, values: Floats, done: Ints) -> int:
    """Return the row that a Gaussian process without prior data chooses next, by expected improvement.

    Parameters
    ----------
    points, values
        Inputs and values of all recipes; only the values in `done` are used.
    done
        Rows made so far, at least one.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(
        np.full(points.shape[1], np.sqrt(points.shape[1])), (0.1, 1e3), nu=2.5
    ) + WhiteKernel(0.05, (1e-4, 1.0))
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    left = np.setdiff1d(np.arange(len(points)), done)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(points[done], values[done])
    mean, deviation = process.predict(points[left], return_std=True)
    deviation = np.maximum(deviation, 1e-9)
    ahead = (mean - values[done].max()) / deviation
    return int(left[np.argmax(deviation * (ahead * norm.cdf(ahead) + norm.pdf(ahead)))])


def key_of(series: Series) -> str:
    """Return the key of a series: target, source, and a checksum of its recipes and values."""
    content = series.fields.to_json() + json.dumps(series.values.round(6).tolist())
    return f"{series.target} {series.source} {hashlib.sha256(content.encode()).hexdigest()[:12]}"


def write_for_baybe(every: Iterable[Series], path: Path, *, starts: int, seed: int) -> None:
    """Write the series in the format of `tools/baybe_paths.py`, with the first recipe of each path."""
    found: dict[str, dict[str, Any]] = {}
    for series in every:
        numbers = series.fields.select_dtypes("number")
        words = series.fields.drop(columns=numbers.columns)
        firsts = dict.fromkeys(int(order[0]) for order in series.orders(starts, seed))
        found[key_of(series)] = {
            "numbers": numbers.to_dict("list"),
            "words": words.to_dict("list"),
            "values": series.values.tolist(),
            "starts": list(firsts),
        }
    write_text(json.dumps(found, indent=1) + "\n", path)


def read_paths(path: Path) -> tuple[dict[str, str], Paths]:
    """Return the versions of packages, and paths by method, series and first row; empty without a file."""
    if not path.exists():
        return {}, {}
    content = json.loads(path.read_text(encoding="utf-8"))
    paths = {
        method: {key: {rows[0]: rows for rows in found} for key, found in of_series.items()}
        for method, of_series in content["paths"].items()
    }
    return content["versions"], paths


def write_paths(versions: dict[str, str], paths: Paths, path: Path) -> None:
    """Write the file that `read_paths` reads, with one series per line."""
    methods = []
    for method, of_series in paths.items():
        lines = [f"  {json.dumps(key)}: {json.dumps(list(found.values()))}" for key, found in of_series.items()]
        methods.append(f" {json.dumps(method)}: {{\n" + ",\n".join(lines) + "\n }")
    text = f'{{"versions": {json.dumps(versions)}, "paths": {{\n' + ",\n".join(methods) + "\n}}\n"
    write_text(text, path)
