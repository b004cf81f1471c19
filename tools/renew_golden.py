"""Update tests/golden/predictions.json, the predictions of the committed champion.

Run it (`make golden`) after training a new champion, review the differences, and commit both together. Differences
without a new champion mean that the code changed a prediction.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nasicon_ml.recipe import Recipe
from nasicon_ml.workflows.predict import predict

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden" / "predictions.json"
CHAMPION = ROOT / "models" / "champion"


def main() -> None:
    """Predict the recipes of the golden file and write the predictions into it."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for entry in golden:
        recipe = Recipe.from_dict(entry["recipe"])
        results = predict(recipe, CHAMPION, at_c=entry["at_c"], level=entry["level"]).results
        entry["answer"] = {
            column: value.item() if hasattr(value, "item") else value
            for column, value in results.iloc[0].to_dict().items()
        }
    GOLDEN.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(golden)} predictions written to {GOLDEN.name}\n")


if __name__ == "__main__":
    main()
