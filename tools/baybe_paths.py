"""Run BayBE with its defaults on the campaign series, in its own environment (`tools/setup_baybe.sh`).

    build/baybe/bin/python tools/baybe_paths.py SERIES.json PATHS.json

This script does not import the project. The first experiment of each path is given, since BayBE would choose it at
random. PATHS.json is written after each path, and paths that it already contains are kept.
"""

from __future__ import annotations

import json
import random
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from baybe import Campaign
from baybe.parameters import CategoricalParameter, NumericalDiscreteParameter
from baybe.searchspace import SearchSpace
from baybe.targets import NumericalTarget

PACKAGES = ("baybe", "botorch", "gpytorch", "torch")
TARGET = "value"


def path_from(first: int, series: dict[str, Any]) -> list[int]:
    """Return the order in which BayBE chooses the recipes after the first one."""
    table = pd.DataFrame(series["numbers"] | series["words"])
    parameters = [
        *(NumericalDiscreteParameter(name, sorted(set(column))) for name, column in series["numbers"].items()),
        *(CategoricalParameter(name, sorted(set(column))) for name, column in series["words"].items()),
    ]
    campaign = Campaign(
        SearchSpace.from_dataframe(table, parameters),
        NumericalTarget(TARGET).to_objective(),
        allow_recommending_already_measured=False,
    )
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002 - BayBE and BoTorch draw from these
    path = [first]
    while len(path) < len(table) - 1:
        campaign.add_measurements(table.loc[[path[-1]]].assign(**{TARGET: series["values"][path[-1]]}))
        recommended = campaign.recommend(1)
        (row,) = np.flatnonzero((table == recommended[table.columns].iloc[0]).all(axis=1))
        path.append(int(row))
    return [*path, *(row for row in range(len(table)) if row not in path)]


def main(series_file: Path, paths_file: Path) -> None:
    """Run all series, beginning with the first start of each."""
    torch.set_num_threads(1)
    all_series: dict[str, dict[str, Any]] = json.loads(series_file.read_text(encoding="utf-8"))
    saved = json.loads(paths_file.read_text(encoding="utf-8")) if paths_file.exists() else {"paths": {}}
    versions = {name: version(name) for name in PACKAGES}
    paths = saved["paths"] if saved.get("versions") == versions else {}
    for index in range(max(len(series["starts"]) for series in all_series.values())):
        for key, series in all_series.items():
            series_paths = paths.setdefault(key, {})
            if index >= len(series["starts"]) or str(series["starts"][index]) in series_paths:
                continue
            started = time.perf_counter()
            series_paths[str(series["starts"][index])] = path_from(series["starts"][index], series)
            text = json.dumps({"versions": versions, "paths": paths}, indent=1)
            paths_file.with_suffix(".part").write_text(text + "\n", encoding="utf-8")
            paths_file.with_suffix(".part").replace(paths_file)
            sys.stderr.write(f"{time.perf_counter() - started:6.1f} s  start {index + 1}  {key}\n")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(Path(sys.argv[1]), Path(sys.argv[2]))
