"""Valid rows of pellets, and functions that build small tables of them."""

from __future__ import annotations

import pandas as pd

from nasicon_ml.columns import PELLET
from nasicon_ml.io import RawTable
from nasicon_ml.io.csv import read_csv

GOOD = {
    "pellet_id": "p1",
    "source": "raj2023",
    "formula": "Li1.4Al0.4Ti1.6(PO4)3",
    "additive": "LiF",
    "additive_amount": "0.5",
    "additive_unit": "wt%",
    "synthesis_route": "solid_state",
    "sintering_temperature_c": "900",
    "atmosphere": "air",
    "measurement_temperature_c": "25",
    "conductivity_total_s_cm": "3e-4",
    "conductivity_bulk_s_cm": "1e-3",
    "relative_density_pct": "95.5",
    "phase_pure": "false",
    "secondary_phases": "AlPO4",
    "suspect": "false",
}
SECOND = {**GOOD, "pellet_id": "p2", "sintering_temperature_c": "1000", "conductivity_total_s_cm": "4e-4"}
OTHER = {"pellet_id": "p3", "source": "zhao2022", "formula": "LiTi2(PO4)3", "phase_pure": "true"}


def table(*rows: dict[str, str], name: str = "pellets.csv") -> RawTable:
    """Return the rows as a table that was read from CSV."""
    frame = pd.DataFrame(rows, columns=[column.value for column in PELLET]).fillna("")
    return read_csv(frame.to_csv(index=False).encode(), name)


def file_of(*rows: dict[str, str]) -> str:
    """Return the rows as the text of a CSV file."""
    frame = pd.DataFrame(rows, columns=[column.value for column in PELLET]).fillna("")
    return str(frame.to_csv(index=False))
