"""Check of the committed champion against the rules of the literature.

    make benchmark-plausibility

Run it after every new champion. It writes `benchmarks/results/plausibility.md` and updates
`tests/physics/known_violations.json`: rules that now hold are removed, sizes are updated, and newly violated rules
are added without a reason. Find out from model and dataset why the model violates such a rule, add the reason, and
run this again: the tests fail for a violation without a reason. Rules are never changed to suit a model.
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

from nasicon_ml.columns import Column
from nasicon_ml.data.files import PELLETS_FILE, dataset_checksum, datasets_folder
from nasicon_ml.evaluation.plausibility import DEGREES, check_plausibility
from nasicon_ml.io import write_text
from nasicon_ml.model import PropertyModel

ROOT = Path(__file__).resolve().parents[1]
CHAMPION = ROOT / "models" / "champion"
RESULT = ROOT / "benchmarks" / "results" / "plausibility.md"
KNOWN = ROOT / "tests" / "physics" / "known_violations.json"
COMMAND = "make benchmark-plausibility"
DIGITS = 4
#: Decimals of an effect by its unit, three where it is not named.
_DECIMALS = {"points": 2, DEGREES: 0}


def champion_checksum() -> str:
    """Return the SHA-256 of the champion's `model.json` from its manifest."""
    manifest = json.loads((CHAMPION / "manifest.json").read_text(encoding="utf-8"))
    return str(manifest["files"]["model.json"])


def read_known() -> dict[str, dict[str, Any]]:
    """Return the known violations: margin and reason by name of the rule."""
    known: dict[str, dict[str, Any]] = json.loads(KNOWN.read_text(encoding="utf-8"))
    return known


def renewed(known: Mapping[str, Mapping[str, Any]], checked: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the current violations with the known reasons."""
    violated = checked[~checked["holds"]]
    return {
        name: {"margin": round(margin, DIGITS), "reason": known.get(name, {}).get("reason", "")}
        for name, margin in zip(violated["rule"], violated["margin"], strict=True)
    }


def heading() -> list[str]:
    """Return title, command, date, checksums and versions as Markdown."""
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


def plausibility_table(checked: pd.DataFrame, reasons: Mapping[str, str] | None = None) -> str:
    """Return the rules and whether they hold as Markdown, with the violated rules first.

    Parameters
    ----------
    checked
        As from `check_plausibility`.
    reasons
        Known reasons of violations by name of the rule.
    """
    violated, held = checked[~checked["holds"]], checked[checked["holds"]]
    lines = [
        f"{len(held)} of {len(checked)} rules of the literature hold.",
        "",
        "Effect: the size of what is stated, as the model has it, positive in the stated direction. It has to",
        "exceed what is required, or to reach it where a statement says no more than *not below*. Required is 0",
        "where the literature states a direction alone.",
        "",
        "## Violated",
        "",
        *(_table(violated, reasons or {}, notes=True) if len(violated) else ["None."]),
        "",
        "## Held",
        "",
        *(_table(held, {}, notes=False) if len(held) else ["None."]),
    ]
    return "\n".join(lines) + "\n"


def _table(checked: pd.DataFrame, reasons: Mapping[str, str], *, notes: bool) -> list[str]:
    heads = ("rule", "what the literature says", "effect", "required", "unit", Column.SOURCE.label)
    lines = [f"| {' | '.join(heads)} |", "|---|---|--:|--:|---|---|"]
    for row in checked.sort_values(["target", "unit", "margin"], kind="stable").to_dict("records"):
        said = [row["statement"]]
        if notes:
            said += [f"*{row['note']}*" if row["note"] else "", reasons.get(row["rule"], "")]
        cells = (
            f"`{row['rule']}`", " ".join(part for part in said if part),
            f"{float(row['effect']):+.{_DECIMALS.get(row['unit'], 3)}f}", f"{row['required']:g}", row["unit"],
            row[str(Column.SOURCE)],
        )  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


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
