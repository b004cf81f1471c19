"""Holds the committed champion to the literature, and says where it fails.

    make benchmark-plausibility

To be run after every new champion. It writes `benchmarks/results/plausibility.md` and renews
`tests/physics/known_violations.json`: rules that now hold leave the list, sizes are measured anew, and a rule that
is newly violated enters it without a reason. Look at what the model and the dataset say of the recipes of such a
rule, write down why the model gets it wrong, and run this again: the tests refuse a violation without a reason. A
rule itself is never changed for a model's sake.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from nasicon_ml.data.files import PELLETS_FILE, dataset_checksum, datasets_folder
from nasicon_ml.evaluation.plausibility import check_plausibility, plausibility_table
from nasicon_ml.model import PropertyModel
from nasicon_ml.tables import write_text

ROOT = Path(__file__).resolve().parents[1]
CHAMPION = ROOT / "models" / "champion"
RESULT = ROOT / "benchmarks" / "results" / "plausibility.md"
KNOWN = ROOT / "tests" / "physics" / "known_violations.json"
COMMAND = "make benchmark-plausibility"
DIGITS = 4


def champion_checksum() -> str:
    """Give the SHA-256 of what the champion holds, as its manifest states it."""
    manifest = json.loads((CHAMPION / "manifest.json").read_text(encoding="utf-8"))
    return str(manifest["files"]["model.json"])


def read_known() -> dict[str, dict[str, Any]]:
    """Read the known violations: margin and reason by name of the rule."""
    known: dict[str, dict[str, Any]] = json.loads(KNOWN.read_text(encoding="utf-8"))
    return known


def renewed(known: Mapping[str, Mapping[str, Any]], checked: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """List the violations as they are now, with the reasons that were given before."""
    violated = checked[~checked["holds"]]
    return {
        name: {"margin": round(margin, DIGITS), "reason": known.get(name, {}).get("reason", "")}
        for name, margin in zip(violated["rule"], violated["margin"], strict=True)
    }


def heading() -> list[str]:
    """Say what the result belongs to."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("nasicon-ml", "xgboost", "numpy", "pandas"))
    return [
        "# Does the committed model agree with the literature?",
        "",
        f"- command: `{COMMAND}`",
        f"- date: {datetime.now(UTC).date().isoformat()}",
        f"- dataset: SHA-256 `{dataset_checksum(datasets_folder() / PELLETS_FILE)}`",
        f"- model: `models/champion`, SHA-256 of its `model.json` `{champion_checksum()}`",
        f"- versions: Python {platform.python_version()}, {versions}",
        "",
        "What the rules are, and how they are put: [docs/plausibility.md](../../docs/plausibility.md).",
        "",
    ]


def main() -> None:
    """Check the champion, write the result and the list of known violations."""
    checked = check_plausibility(PropertyModel.load(CHAMPION))
    known = renewed(read_known(), checked)
    reasons = {name: entry["reason"] for name, entry in known.items()}
    RESULT.parent.mkdir(exist_ok=True)
    write_text("\n".join(heading()) + plausibility_table(checked, reasons), RESULT)
    write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", KNOWN)
    print(f"{len(checked) - len(known)} of {len(checked)} rules hold; {RESULT.relative_to(ROOT)}")
    unexplained = [name for name, reason in reasons.items() if not reason]
    if unexplained:
        print(f"say why in {KNOWN.relative_to(ROOT)}: {', '.join(unexplained)}")


if __name__ == "__main__":
    main()
