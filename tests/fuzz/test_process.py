"""A sample of malformed input to the installed program: streams, arguments and exit codes as a shell has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.files import DAMAGES, text_of
from tests.fuzz.oracle import Outcome, check_command
from tests.fuzz.tally import TALLY, Verdict, in_time

pytestmark = pytest.mark.slow
CHANNEL = "the program"
PROGRAM = Path(sys.executable).with_name("nasicon-ml")
TEXT = text_of([["formula", "sintering_temperature_c", "atmosphere"], ["LATP x=0.3", "900", "air"]])
#: Arguments and standard input; bytes, for a shell passes on any.
CASES: dict[str, tuple[list[str | bytes], bytes]] = {
    "an argument that is no UTF-8": (["predict", "--formula", b"LTP\xff\xfe"], b""),
    "a file name that is no UTF-8": (["predict", b"\xff\xfe.csv"], b""),
    "an output that is no UTF-8": (["predict", "-", "--output", b"\xff/\xfe.csv"], TEXT.encode()),
    "a pellet that is no UTF-8": (["data", "show", b"\xff"], b""),
    "an option that is no UTF-8": ([b"--\xff"], b""),
    "a recipe that is no UTF-8": (["predict", "-"], b"formula\nLTP\xff\n"),
    "nothing on standard input": (["predict", "-"], b""),
    "zeros on standard input": (["predict", "-"], b"\0" * 10_000_000),
    "a bomb of YAML": (["predict", "-"], b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
    "YAML that would run": (["predict", "-"], b"- formula: !!python/object/apply:os.system ['touch ran']\n"),
    "JSON without end": (["predict", "-"], b"[" * 10_000_000),
    "a formula of a spreadsheet": (["predict", "-"], TEXT.replace("LATP x=0.3", "=cmd|' /C calc'!A0").encode()),
    "a gzip that is cut off": (["predict", "-"], DAMAGES["gzip"](TEXT)[:-9]),
    "endless zeros": (["predict", "/dev/zero", "--format", "csv"], b""),
    "a folder": (["predict", ".", "--format", "csv"], b""),
    "a level that is none": (["predict", "--formula", "LTP", "--level", "nan"], b""),
    "a dataset of zeros": (["train", "--no-track", "--dataset", "/dev/zero"], b""),
}


@pytest.mark.parametrize("name", CASES)
def test_the_program_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    arguments, stdin = CASES[name]
    environment = {"PATH": os.defpath, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}

    def run() -> Outcome:
        done = subprocess.run(
            [str(PROGRAM), *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))

    assert check_command(in_time(CHANNEL, run, elsewhere=True)) is Verdict.REFUSED
    assert not list(tmp_path.iterdir())
    TALLY.add(CHANNEL, Verdict.REFUSED)
