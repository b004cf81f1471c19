"""Shell completion."""

from __future__ import annotations

import pytest

from nasicon_ml.cli.main import VERBS, main
from nasicon_ml.columns import Column


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", [*VERBS]),
        ("pre", ["predict"]),
        ("registry ", ["compare", "export", "import", "list", "promote", "rollback", "show"]),
        ("predict --sintering-t", ["--sintering-temperature", "--sintering-time"]),
        ("predict --atmosphere a", ["air", "Ar", "Ar/H2"]),
        ("predict --densification ", [*Column.DENSIFICATION.choices]),
        ("predict --model models:/nasicon-recipe@c", [
            "dir:models:/nasicon-recipe@c", "models:/nasicon-recipe@champion", "models:/nasicon-recipe@challenger",
        ]),
        ("predict --model out/m", ["dir:out/m"]),
        ("predict --own lab", ["file:lab"]),
        ("predict lab", ["file:lab"]),
        ("screen sp", ["file:sp"]),
        ("screen --resume fo", ["dir:fo"]),
        ("screen --format ", ["csv", "parquet"]),
        ("train --folds ", []),
        ("registry promote ch", ["champion", "challenger"]),
        ("registry export latest o", ["dir:o"]),
        ("data validate p", ["file:p"]),
    ],
)  # fmt: skip
def test_completion_suggests_matching_words(line, expected, monkeypatch, capsys):
    words = line.split(" ")
    monkeypatch.setenv("_NASICON_ML_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"nasicon-ml {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit) as exit_info:
        main([])
    assert exit_info.value.code == 0
    completions = [item.split(",", 1) for item in capsys.readouterr().out.split()]
    assert [value if kind == "plain" else f"{kind}:{value}" for kind, value in completions] == expected
