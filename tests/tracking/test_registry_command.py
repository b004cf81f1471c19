"""The verb `registry` of the command line."""

import json
from pathlib import Path

import pytest

from nasicon_ml.cli.main import main
from nasicon_ml.evaluation import gate
from nasicon_ml.tracking import store as stores
from tests.tracking.conftest import aliases, replace_gate


def run(capsys, *arguments):
    code = main(["registry", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_list_prints_usable_versions_as_table_or_json(two_imports, capsys):
    code, out, err = run(capsys, "list")
    header, newest, oldest = out.splitlines()
    assert (code, err) == (0, "")
    assert header.split()[:2] == ["version", "alias"]
    assert newest.split()[:2] == ["2", "challenger"]
    assert oldest.split()[0] == "1"
    assert "UNUSABLE" not in out
    code, out, _ = run(capsys, "list", "--json")
    assert [(version["version"], version["usable"], version["uri"]) for version in json.loads(out)] == [
        ("2", True, "models:/nasicon-recipe/2"),
        ("1", True, "models:/nasicon-recipe/1"),
    ]


def test_control_characters_in_tags_are_escaped(two_imports, capsys):
    with stores.open_store() as store:
        store.client.set_model_version_tag("nasicon-recipe", "2", "protocol", "\x1b[2J\u202eevil")
        store.client.set_model_version_tag("nasicon-recipe", "2", "note", "\x1b[2J\u202eevil")
    code, out, _ = run(capsys, "show", "2")
    assert code == 0
    assert "\\x1b[2J\\u202eevil" in out
    assert not {"\x1b", "\u202e"} & set(out)


@pytest.mark.slow
def test_show_prints_version_and_scores_and_optionally_the_card(two_imports, capsys):
    code, out, _ = run(capsys, "show", "challenger")
    assert code == 0
    assert "version     2 of nasicon-recipe: models:/nasicon-recipe/2" in out
    assert "conductivity.coverage_90" in out
    assert "# nasicon" not in out
    _, out, _ = run(capsys, "show", "2", "--card")
    assert "Known failures" in out
    _, out, _ = run(capsys, "show", "2", "--card", "--json")
    assert json.loads(out)["card"]["schema"] == "nasicon-ml/model-card/1"


def test_refused_promotion_exits_with_code_1_and_prints_checks(two_imports, capsys, monkeypatch):
    replace_gate(monkeypatch, passed=False)
    code, out, err = run(capsys, "promote")
    assert (code, err) == (1, "")
    assert "REFUSED  conductivity: +0.5000, at most 0.02 worse is allowed" in out
    assert "version 2 was not promoted; there is no champion" in out
    code, out, _ = run(capsys, "promote", "--json")
    content = json.loads(out)
    assert (code, content["promoted"], content["gate"]["passed"]) == (1, False, False)
    assert aliases() == {"challenger": "2"}


def test_promote_force_compare_and_rollback(two_imports, capsys, monkeypatch):
    replace_gate(monkeypatch, passed=True)
    assert run(capsys, "promote", "1")[0] == 0
    replace_gate(monkeypatch, passed=False)
    code, out, _ = run(capsys, "compare", "champion", "2")
    assert (code, "The gate would refuse it." in out) == (1, True)
    code, _, err = run(capsys, "promote", "--force")
    assert (code, err.count("\n")) == (2, 1)
    assert "reason: '' is not accepted" in err
    code, out, _ = run(capsys, "promote", "--force", "--reason", "we measured it")
    assert (code, aliases()) == (0, {"champion": "2"})
    assert "version 2 is champion now, after version 1 (against the gate)" in out
    code, out, _ = run(capsys, "rollback", "--reason", "it was wrong")
    assert (code, aliases()) == (0, {"champion": "1", "challenger": "2"})
    assert out == "version 1 is champion again, in place of version 2; version 2 is the challenger again\n"
    code, out, _ = run(capsys, "show", "2")
    assert "rolled_back_reason" in out
    assert "we measured it" in out


def test_compare_prints_paired_scores_of_the_real_gate(two_imports, capsys, monkeypatch):
    monkeypatch.setattr(gate, "COVERAGE_RANGES", dict.fromkeys(gate.COVERAGE_RANGES, (0, 100)))
    code, out, _ = run(capsys, "compare", "1", "2")
    assert code == 0
    (row,) = (line for line in out.splitlines() if line.startswith("conductivity "))
    assert "+0.0000 (+0.0000 to +0.0000)" in row
    assert "passed   on the same pellets and folds" in out
    assert out.endswith("The gate would let it pass.\n")


def test_export_and_import_print_folder_and_version(two_imports, capsys, bundle):
    code, out, _ = run(capsys, "export", "2", "out/model")
    assert (code, out) == (0, "version 2 written to out/model\n")
    assert Path("out/model/manifest.json").read_bytes() == (bundle / "manifest.json").read_bytes()
    code, out, _ = run(capsys, "import", "out/model", "--json")
    assert (code, json.loads(out)["version"]) == (0, "3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "has no version 'champion'"),
        (["show", "seven"], "has no version 'seven'"),
        (["promote", "9"], "has no version '9'"),
        (["compare", "1", "x"], "has no version 'x'"),
        (["export", "2", "mlflow.db"], "mlflow.db exists and is not a model bundle"),
        (["import", "nowhere"], "nowhere"),
        (["rollback"], "has no champion"),
        (["list", "--tracking-uri", "sqlite:///none.db"], "there is no store at"),
        (["list", "--tracking-uri", "gopher://x"], "gopher"),
        (["promot"], "promot"),
    ],
)
def test_invalid_call_exits_with_code_2_and_message(arguments, message, two_imports, capsys):
    before = sorted(path.name for path in two_imports.iterdir())
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    after = {path.name for path in two_imports.iterdir()} - {"mlflow.db.lock"}
    assert sorted(after) == before
