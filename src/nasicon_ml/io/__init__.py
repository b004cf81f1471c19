"""Reads and writes tables: CSV, JSON, YAML and Parquet in; CSV, JSON and Parquet out.

Cells of a CSV stay the text a person wrote, so that the checks see it. Whatever is wrong with the file itself
is said in the words of somebody who has it open in a spreadsheet.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
