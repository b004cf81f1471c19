"""Run BayBE at its defaults on the series of the campaigns; in an environment of its own (`tools/setup_baybe.sh`).

    build/baybe/bin/python tools/baybe_paths.py SERIES.json PATHS.json

Nothing of this project is imported. The first experiment of every path is given: at its defaults BayBE begins with
a random one. Paths are written after each series, and those that stand in PATHS.json already are kept.
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
    """Return the order in which BayBE makes the recipes, after the first."""
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
    random.seed(0), np.random.seed(0), torch.manual_seed(0)  # noqa: NPY002 - what BayBE and BoTorch draw from
    made = [first]
    while len(made) < len(table) - 1:
        campaign.add_measurements(table.loc[[made[-1]]].assign(**{TARGET: series["values"][made[-1]]}))
        found = campaign.recommend(1)
        (row,) = np.flatnonzero((table == found[table.columns].iloc[0]).all(axis=1))
        made.append(int(row))
    return [*made, *(row for row in range(len(table)) if row not in made)]


def main(given: Path, out: Path) -> None:
    """Run all series, first starts first."""
    torch.set_num_threads(1)
    every: dict[str, dict[str, Any]] = json.loads(given.read_text(encoding="utf-8"))
    known = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {"paths": {}}
    versions = {name: version(name) for name in PACKAGES}
    paths = known["paths"] if known.get("versions") == versions else {}
    for at in range(max(len(series["starts"]) for series in every.values())):
        for key, series in every.items():
            own = paths.setdefault(key, {})
            if at >= len(series["starts"]) or str(series["starts"][at]) in own:
                continue
            started = time.perf_counter()
            own[str(series["starts"][at])] = path_from(series["starts"][at], series)
            text = json.dumps({"versions": versions, "paths": paths}, indent=1)
            out.with_suffix(".part").write_text(text + "\n", encoding="utf-8")
            out.with_suffix(".part").replace(out)
            sys.stderr.write(f"{time.perf_counter() - started:6.1f} s  start {at + 1}  {key}\n")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(Path(sys.argv[1]), Path(sys.argv[2]))
