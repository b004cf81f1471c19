"""The page of own pellets: upload a file, with the same checks as on the command line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from nasicon_ml.app.session import OWN, OWN_NAME, escaped, model, own
from nasicon_ml.app.tables import show_history, with_column_labels
from nasicon_ml.campaigns.goal import Goal
from nasicon_ml.checks import kelvin_findings
from nasicon_ml.cli.formatting import plural
from nasicon_ml.columns import PELLET, Column, Role
from nasicon_ml.data.own_pellets import OwnPelletsError, own_pellets
from nasicon_ml.data.validate import unusual_findings
from nasicon_ml.errors import NasiconError
from nasicon_ml.io import read_table, standardize_table
from nasicon_ml.io.tables import FORMATS
from nasicon_ml.workflows.recommend import campaign_history

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamlit.runtime.uploaded_file_manager import UploadedFile

    from nasicon_ml.checks import Finding

#: Roles of columns that only pellets of the literature have.
_LITERATURE_ROLES = {Role.PROVENANCE, Role.STATUS}


def show() -> None:
    """Show the page."""
    st.markdown(
        "A workbook, CSV, JSON, YAML or Parquet file with a composition and one result a row, as you keep it. Its"
        " pellets move the answers on all pages, for you alone, until this page is closed or reloaded; nothing of"
        " them is stored."
    )
    sheet = st.text_input("Sheet of a workbook", placeholder="the first", key="sheet") or None
    file = st.file_uploader("File of pellets", type=[ending.removeprefix(".") for ending in FORMATS], key="file")
    if file is not None:
        _read(file, sheet)
    elif OWN in st.session_state and st.button("Forget my pellets"):
        del st.session_state[OWN], st.session_state[OWN_NAME]
    pellets = own()
    if pellets is None:
        return
    st.header(f"{plural(len(pellets), 'pellet')}")
    doubts = [*kelvin_findings(pellets), *unusual_findings(pellets, model().pellets)]
    for finding in doubts[:10]:
        st.warning(escaped(f"pellet {pellets[Column.PELLET_ID].iloc[finding.row]}: {finding.message}"))
    columns = [column.value for column in (*PELLET, Column.SYSTEM) if column.role not in _LITERATURE_ROLES]
    given = pellets[[name for name in columns if name in pellets]].dropna(axis=1, how="all")
    table, config = with_column_labels(given)
    st.dataframe(table, hide_index=True, column_config=config, placeholder="")
    if pellets[Column.CONDUCTIVITY_TOTAL_S_CM].notna().any():
        st.header("What they are worth")
        show_history(campaign_history(pellets, Goal(), model()))


def _read(file: UploadedFile, sheet: str | None) -> None:
    """Read an uploaded file, show the notes about it, and keep its pellets for this session."""
    st.session_state.pop(OWN, None)
    name = Path(file.name).name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"pellets{Path(name).suffix.lower()}"
        path.write_bytes(file.getbuffer())
        try:
            for note in standardize_table(read_table(path, sheet=sheet), PELLET).notes:
                st.info(escaped(note))
            st.session_state[OWN] = own_pellets(path, sheet=sheet)
            st.session_state[OWN_NAME] = name
        except OwnPelletsError as error:
            st.error(escaped(f"{name}: nothing is done with any of its pellets until these cells are right"))
            st.dataframe(_findings(error.findings), hide_index=True)
        except NasiconError as error:
            raise NasiconError(str(error).replace(str(path), name)) from None


def _findings(findings: Iterable[Finding]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"row": found.line or found.row + 1, "column": found.column, "what": found.message} for found in findings]
    )
