"""The figures of a screening, written into its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from nasicon_ml.columns import Column
from nasicon_ml.errors import DatasetError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from nasicon_ml.screening.result import ScreeningResult

MAP, FRONT = "map.png", "front.png"


def draw(found: ScreeningResult, folder: Path) -> tuple[list[Path], str]:
    """Draw the map and the front.

    Returns
    -------
    list of Path
        The figures; one that would show nothing is left out, and an older one of its name removed.
    str
        Why there is none, if Matplotlib is not installed; else empty.
    """
    try:
        from nasicon_ml.plots import save, screening_front, screening_map

        figures: dict[str, Callable[[], Figure]] = {
            MAP: lambda: screening_map(map_cells(found)),
            FRONT: lambda: screening_front(found.front),
        }
        written = []
        for name, figure in figures.items():
            try:
                written.append(save(figure(), folder / name))
            except DatasetError:
                (folder / name).unlink(missing_ok=True)
    except MissingExtraError as error:
        return [], f"no figures: {error}"
    return written, ""


def map_cells(found: ScreeningResult) -> pd.DataFrame:
    """Give the best conductivity at every substitution and sintering temperature as a table."""
    from nasicon_ml.plots.screening import SUBSTITUTION

    x, temperature_c, best = found.tally.landscape.points()
    return pd.DataFrame(
        {
            SUBSTITUTION: x,
            Column.SINTERING_TEMPERATURE_C.value: temperature_c,
            Column.PREDICTED_CONDUCTIVITY_S_CM.value: best,
        }
    )
