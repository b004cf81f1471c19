"""What a model is told about itself when it is trained."""

from __future__ import annotations

import pandas as pd
import pytest

from nasicon_ml.data.files import PELLETS_FILE, datasets_folder
from nasicon_ml.data.validate import count_problems
from nasicon_ml.evaluation.plausibility import check_plausibility
from nasicon_ml.workflows.findings import with_findings


@pytest.fixture
def pellets():
    return pd.read_csv(datasets_folder() / PELLETS_FILE, dtype=str, keep_default_na=False)


def test_a_training_records_the_rules_that_its_model_breaks(trained):
    checked = check_plausibility(trained.model)
    broken = checked[~checked["holds"]]
    metadata = trained.model.metadata
    assert metadata.rules_checked == len(checked)
    assert metadata.broken_rules == tuple(broken["rule"])
    assert metadata.broken_statements == dict(zip(broken["rule"], broken["statement"], strict=True))


def test_a_training_records_what_is_wrong_with_its_dataset(trained):
    found = trained.model.metadata.validation
    assert found == count_problems(datasets_folder() / PELLETS_FILE)
    assert found["errors"] == 0
    assert found["warnings"] > 0


def test_it_is_the_file_that_was_trained_on(trained, pellets, tmp_path):
    """Not the committed one: an error put into the file is counted."""
    pellets.loc[0, "relative_density_pct"] = "0.93"
    pellets.to_csv(tmp_path / "mine.csv", index=False)
    clean = trained.model.metadata.validation
    assert with_findings(trained.model, tmp_path / "mine.csv").metadata.validation["errors"] == clean["errors"] + 1


def test_sources_beside_the_file_are_held_against_it(pellets, tmp_path):
    pellets.head(20).to_csv(tmp_path / "mine.csv", index=False)
    alone = count_problems(tmp_path / "mine.csv")
    (tmp_path / "sources.csv").write_text("source\nsomebody2026\n")
    assert count_problems(tmp_path / "mine.csv")["errors"] == alone["errors"] + 20
    (tmp_path / "sources.csv").write_bytes(b"\xff\xfe\x00")
    assert count_problems(tmp_path / "mine.csv") == {**alone, "errors": alone["errors"] + 1}
