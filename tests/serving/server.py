"""The real server for tests: `mlflow models serve`, started on a free port and stopped with all its children.

    with serving("models:/nasicon-recipe@champion", tracking_uri) as served:
        served.invoke({"dataframe_records": [{"formula": "LTP"}]}).json()

`served.url` is the base address.
"""

from benchmarks.serving_server import CSV, JSON, Answer, Served, serving

__all__ = ["CSV", "JSON", "Answer", "Served", "serving"]
