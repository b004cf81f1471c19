"""The real server for tests: `mlflow models serve`, started on a free port and stopped with all its children.

    with serving(CHAMPION, tracking_uri) as served:
        served.invoke({"dataframe_records": [{"formula": "LTP"}]}).json()

`served.url` is the base address; `published(bundle, folder)` makes a store with a champion.
"""

from benchmarks.serving_server import CHAMPION, CSV, JSON, Answer, Served, published, serving

__all__ = ["CHAMPION", "CSV", "JSON", "Answer", "Served", "published", "serving"]
