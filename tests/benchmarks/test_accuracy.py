"""The accuracy benchmark as a command: files written, reproducibility, and refused arguments."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from benchmarks.accuracy import main, options_of, protocols_of, read_arguments
from benchmarks.dataset import Options
from benchmarks.protocols import PROTOCOLS, TITLES

from nasicon_ml.data.files import DATASETS_VARIABLE, PELLETS_FILE, dataset_checksum
from nasicon_ml.errors import FieldError

MODELS = {"ours", "ours, composition only", "median", "nearest neighbour", "Magpie, XGBoost"}
#: P8 trains models of its own; `test_own_pellets` tests it with the shared trained model instead.
REQUESTED = [protocol for protocol in PROTOCOLS if protocol != "P8"]


@pytest.fixture(scope="module")
def results(few_sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    protocols = ",".join(REQUESTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATASETS_VARIABLE, str(few_sources))
        assert main(["--quick", "--threads", "1", "--protocols", protocols, "--out", str(folder)]) == 0
    return folder


@pytest.mark.slow
def test_benchmark_writes_exactly_the_expected_files(results):
    expected = {"accuracy.csv", "accuracy.md", "accuracy.png", "differences.csv", "series.png"}
    assert {path.name for path in results.iterdir()} == expected
    assert all(path.stat().st_size > 500 for path in results.iterdir())


@pytest.mark.slow
def test_every_protocol_has_scores_of_all_compared_models(results):
    scores = pd.read_csv(results / "accuracy.csv")
    assert list(dict.fromkeys(scores["protocol"])) == REQUESTED
    for protocol, part in scores[~scores["protocol"].isin(["P1"])].groupby("protocol"):
        assert set(part["model"]) >= MODELS, protocol
    errors = scores[scores["metric"].str.startswith(("mae", "regret"))]
    assert errors["mean"].between(0, 30).all()
    assert scores["n_sources"].le(scores["n_rows"]).all()
    floor_scores = scores[scores["model"].str.startswith("floor")]
    assert {"P1", "P2", "P3"} <= set(floor_scores["protocol"])


@pytest.mark.slow
def test_differences_equal_our_score_minus_the_score_of_the_peer(results):
    table = pd.read_csv(results / "differences.csv")
    np.testing.assert_allclose(table["difference"], table["score_ours"] - table["score_peer"], atol=2e-6)
    with_interval = table[table["lower"].notna()]
    assert (with_interval["lower"] <= with_interval["upper"]).all()
    assert table["ours"].str.startswith("ours").all()
    excludes_zero = (with_interval["lower"] > 0) | (with_interval["upper"] < 0)
    assert (excludes_zero == (with_interval["verdict"] != "not told apart")).all()


@pytest.mark.slow
def test_page_names_dataset_command_protocols_and_scores(results, few_sources):
    page = (results / "accuracy.md").read_text(encoding="utf-8")
    assert dataset_checksum(few_sources / PELLETS_FILE) in page
    assert "python -m benchmarks.accuracy --quick" in page
    assert "not of this run" in page
    assert set(TITLES) == set(PROTOCOLS)
    for protocol in REQUESTED:
        assert f"## {protocol}: {TITLES[protocol]}" in page
    scores = pd.read_csv(results / "accuracy.csv")
    ours = scores.query("protocol == 'P2' and subset == 'all' and model == 'ours' and metric == 'mae_decades'")
    assert f"| **ours** | {ours['mean'].iloc[0]:.3f} |" in page


@pytest.mark.slow
def test_repeated_run_gives_the_same_scores_and_differences(results, few_sources, tmp_path, monkeypatch):
    monkeypatch.setenv(DATASETS_VARIABLE, str(few_sources))
    assert main(["--quick", "--protocols", "P3,P6", "--out", str(tmp_path)]) == 0
    for name in ("accuracy.csv", "differences.csv"):
        first, second = (pd.read_csv(folder / name) for folder in (results, tmp_path))
        assert set(second["protocol"]) == {"P3", "P6"}
        first = first[first["protocol"].isin(["P3", "P6"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(first, second)


def test_protocols_are_sorted_and_unknown_ones_refused():
    assert protocols_of("p3, P1") == ("P1", "P3")
    with pytest.raises(FieldError, match="P11"):
        protocols_of("P1,P11")


def test_command_line_arguments_are_converted_to_options():
    assert options_of(read_arguments([])) == Options()
    options = options_of(read_arguments(["--quick", "--folds", "4", "--seed", "7"]))
    assert (options.folds, options.seed, options.repeats) == (4, 7, 1)
    with pytest.raises(FieldError, match="folds"):
        options_of(read_arguments(["--folds", "1"]))


def test_unknown_protocol_exits_with_code_2_and_names_it(capsys, tmp_path):
    assert main(["--protocols", "P99", "--out", str(tmp_path)]) == 2
    assert "P99" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
