"""What the shell offers when Tab is pressed."""

from __future__ import annotations

import pytest

from nasicon_ml.cli.main import VERBS, main
from nasicon_ml.columns import Column


@pytest.mark.parametrize(
    ("line", "offered"),
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
def test_what_can_follow_is_offered(line, offered, monkeypatch, capsys):
    words = line.split(" ")
    monkeypatch.setenv("_NASICON_ML_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"nasicon-ml {line}")
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 0
    found = [found.split(",", 1) for found in capsys.readouterr().out.split()]
    assert [value if kind == "plain" else f"{kind}:{value}" for kind, value in found] == offered
