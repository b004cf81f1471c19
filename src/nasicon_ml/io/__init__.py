"""Reads and writes tables: CSV, JSON, YAML and Parquet in; CSV, JSON and Parquet out.

Cells of a CSV stay the text a person wrote, so that the checks see it. Whatever is wrong with the file itself
is said in the words of somebody who has it open in a spreadsheet.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasicon_ml.io.kept import understand as understand
    from nasicon_ml.io.raw import RawTable as RawTable
    from nasicon_ml.io.read import FORMATS as FORMATS
    from nasicon_ml.io.read import read_table as read_table
    from nasicon_ml.io.write import table_as_csv as table_as_csv
    from nasicon_ml.io.write import table_as_json as table_as_json
    from nasicon_ml.io.write import table_records as table_records
    from nasicon_ml.io.write import write_bytes as write_bytes
    from nasicon_ml.io.write import write_table as write_table
    from nasicon_ml.io.write import write_text as write_text

_HOMES = {
    "FORMATS": "read",
    "RawTable": "raw",
    "read_table": "read",
    "table_as_csv": "write",
    "table_as_json": "write",
    "table_records": "write",
    "understand": "kept",
    "write_bytes": "write",
    "write_table": "write",
    "write_text": "write",
}
__all__ = [*_HOMES]  # noqa: PLE0604 - the names are the keys of the table above


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
