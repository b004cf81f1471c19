"""A sample of malformed input for the installed program, with the streams and exit codes of a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.files import DAMAGES, csv_text
from tests.fuzz.oracle import Outcome, check_outcome
from tests.fuzz.tally import TALLY, Verdict, in_time

pytestmark = pytest.mark.slow
CHANNEL = "the program"
PROGRAM = Path(sys.executable).with_name("nasicon-ml")
TEXT = csv_text([["formula", "sintering_temperature_c", "atmosphere"], ["LATP x=0.3", "900", "air"]])
#: Arguments and standard input, by name. Arguments may be bytes, because a shell passes on any.
CASES: dict[str, tuple[list[str | bytes], bytes]] = {
    "formula is not UTF-8": (["predict", "--formula", b"LTP\xff\xfe"], b""),
    "file name is not UTF-8": (["predict", b"\xff\xfe.csv"], b""),
    "output path is not UTF-8": (["predict", "-", "--output", b"\xff/\xfe.csv"], TEXT.encode()),
    "pellet identifier is not UTF-8": (["data", "show", b"\xff"], b""),
    "option is not UTF-8": ([b"--\xff"], b""),
    "standard input is not UTF-8": (["predict", "-"], b"formula\nLTP\xff\n"),
    "empty standard input": (["predict", "-"], b""),
    "zero bytes on standard input": (["predict", "-"], b"\0" * 10_000_000),
    "YAML with exponential aliases": (["predict", "-"], b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
    "YAML that calls a function": (
        ["predict", "-"],
        b"- formula: !!python/object/apply:os.system ['touch ran']\n",
    ),
    "deeply nested JSON": (["predict", "-"], b"[" * 10_000_000),
    "spreadsheet formula": (["predict", "-"], TEXT.replace("LATP x=0.3", "=cmd|' /C calc'!A0").encode()),
    "truncated gzip": (["predict", "-"], DAMAGES["gzip"](TEXT)[:-9]),
    "endless file": (["predict", "/dev/zero", "--format", "csv"], b""),
    "folder": (["predict", ".", "--format", "csv"], b""),
    "level is nan": (["predict", "--formula", "LTP", "--level", "nan"], b""),
    "endless dataset": (["train", "--no-track", "--dataset", "/dev/zero"], b""),
}


@pytest.mark.parametrize("name", CASES)
def test_installed_program_refuses_malformed_input(name: str, tmp_path: Path) -> None:
    arguments, stdin = CASES[name]
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}

    def run() -> Outcome:
        process = subprocess.run(
            [str(PROGRAM), *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        return Outcome(process.returncode, process.stdout.decode("utf-8"), process.stderr.decode("utf-8"))

    assert check_outcome(in_time(CHANNEL, run, elsewhere=True)) is Verdict.REFUSED
    assert not list(tmp_path.iterdir())
    TALLY.add(CHANNEL, Verdict.REFUSED)
