"""Read tables from CSV, workbooks, JSON, YAML and Parquet, and write them as CSV, JSON and Parquet.

Cells of a CSV remain text for the checks. Messages address a user who has the file open in a spreadsheet.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
