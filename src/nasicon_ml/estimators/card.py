"""The model card: what a person should know before trusting a model, from its metadata."""

from __future__ import annotations

from nasicon_ml.estimators.model import ModelMetadata

_INTENDED = """\
## What it is for

Comparing recipes of ceramic NASICON-type lithium (and, less well, sodium) electrolytes before they are made:
which composition, route, sintering temperature, atmosphere and heating rate promise a dense, phase-pure,
conductive pellet. Each answer comes with an interval, the nearest measured pellets and a warning outside the
known domain.

## What it is not for

- Proof that a pellet will have a property: laboratories that report one composition differ nearly as much as
  the model errs (docs/method.md).
- Bulk conductivity, thin films, composites with polymers, electrolytes of other structure types.
- Interfaces, stability against electrodes, ageing.

## Known weaknesses

- Missing fields are missing in the literature, too: a pattern in what authors report can look like physics.
- Phase purity is what XRD of the source could see, which differs by source.
- Systems with few sources lean on the others; see the scores by system and the domain notes.
"""


def model_card(metadata: ModelMetadata, feature_count: int) -> str:
    """Write the card in Markdown."""
    lines = [
        "# nasicon-recipe: model card",
        "",
        "Total ionic conductivity, relative density and probability of phase purity of NASICON-type ceramics,",
        "from composition and processing. Gradient-boosted trees (XGBoost).",
        "",
        _INTENDED,
        "## Training",
        "",
        f"- dataset: {metadata.dataset_rows} pellets, SHA-256 `{metadata.dataset_sha256}`",
        f"- features: {feature_count}",
        *(f"- pellets with {name.replace('_', ' ')}: {count}" for name, count in metadata.rows_used.items()),
        *(f"- option {name}: {value}" for name, value in metadata.options.items()),
        *(f"- {name} {version}" for name, version in metadata.versions.items()),
        "",
        "## Scores",
        "",
        "Out of fold; no source stands on both sides of a fold. Intervals are at 90 %.",
        "",
        "| target | rows | model | metric | value | pellets | sources |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in metadata.scores:
        cells = (row["target"], row["subset"], row["model"], row["metric"], f"{row['value']:.3f}")
        lines.append(f"| {' | '.join(cells)} | {row['n_rows']} | {row['n_sources']} |")
    lines += [
        "",
        "## How to cite",
        "",
        "nasicon-ml (see README.md), and the sources of the nearest pellets by DOI.",
        "",
    ]
    return "\n".join(lines)
