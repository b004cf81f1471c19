"""``nasicon-ml data``: output, exit codes and messages."""

import io
import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from nasicon_ml.cli.main import main
from nasicon_ml.data.files import DATASETS_VARIABLE, renew_checksums
from tests.data.examples import GOOD, OTHER, SECOND, file_of

SOURCES = "source,doi,reading,pellet_count\nraj2023,10.1021/acsaem.2c02464,raj2023,2\nzhao2022,,zhao2022,1\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of three pellets."""
    (tmp_path / "pellets.csv").write_text(file_of(GOOD, SECOND, OTHER), encoding="utf-8")
    (tmp_path / "sources.csv").write_text(SOURCES, encoding="utf-8")
    renew_checksums(tmp_path)
    monkeypatch.setenv(DATASETS_VARIABLE, str(tmp_path))
    return tmp_path


def write(path: Path, *rows: dict[str, str]) -> str:
    path.write_text(file_of(*rows), encoding="utf-8")
    return str(path)


class TestValidate:
    """nasicon-ml data validate"""

    def test_the_committed_dataset_has_no_errors(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["data", "validate"]) == 0
        captured = capsys.readouterr()
        assert captured.out.splitlines()[-1].endswith("pellets.csv: 1761 rows, 0 errors, 85 warnings")
        assert captured.err == ""

    def test_errors_are_listed_and_counted(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = write(folder / "new.csv", GOOD, {**SECOND, "atmosphere": "steam", "relative_density_pct": "0.95"})
        assert main(["data", "validate", file]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["line", "row", "column", "value", "rule", "severity", "message"]
        assert lines[1].startswith("3     2    atmosphere")
        assert "unknown_atmosphere" in lines[1]
        assert lines[2].endswith("a number from 20 to 100 %. Densities are per cent: write 95.")
        assert lines[3] == f"{file}: 2 rows, 2 errors, 0 warnings"

    def test_control_characters_of_the_file_are_escaped(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = write(folder / "new.csv", {**GOOD, "sintering_temperature_c": "\x1b]0;title\x07"})
        assert main(["data", "validate", file]) == 1
        captured = capsys.readouterr()
        assert r"\x1b]0;title\x07" in captured.out
        assert not {"\x1b", "\x07"} & {*captured.out, *captured.err}

    def test_file_with_only_warnings_exits_with_code_0(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = write(folder / "new.csv", {**GOOD, "formula": "Li1.5Al0.4Ti1.6(PO4)3"})
        assert main(["data", "validate", file]) == 0
        assert "0 errors, 1 warnings" in capsys.readouterr().out

    def test_conductivity_unlike_all_measured_gives_a_warning(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        odd = {**GOOD, "conductivity_total_s_cm": "0.12", "conductivity_bulk_s_cm": ""}
        assert main(["data", "validate", write(tmp_path / "new.csv", odd)]) == 0
        out = capsys.readouterr().out
        assert "unlike_all_measured" in out
        assert "0.12 mS/cm is 0.00012 S/cm" in out

    def test_json_contains_the_same_findings(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = write(folder / "new.csv", {**GOOD, "source": "raj2032"})
        assert main(["data", "validate", file, "--json"]) == 1
        report = json.loads(capsys.readouterr().out)
        assert report["rows"] == 1
        assert (report["errors"], report["warnings"]) == (1, 0)
        assert report["findings"] == [
            {
                "line": 2,
                "row": 1,
                "column": "source",
                "value": "raj2032",
                "rule": "unknown_source",
                "severity": "error",
                "message": "source: 'raj2032' is not in the list of sources. Did you mean 'raj2023'?",
            }
        ]

    @pytest.mark.usefixtures("folder")
    def test_infinite_value_is_written_as_text_in_json(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = tmp_path / "infinite.json"
        file.write_text('[{"pellet_id": "p1", "source": "raj2023", "formula": "LTP", "pressure_mpa": Infinity}]')
        assert main(["data", "validate", str(file), "--json"]) == 1
        findings = json.loads(capsys.readouterr().out)["findings"]
        assert [(finding["line"], finding["value"]) for finding in findings] == [(None, "inf")]

    @pytest.mark.usefixtures("folder")
    def test_source_listed_in_sources_option_is_accepted(self, tmp_path: Path) -> None:
        file = write(tmp_path / "new.csv", {**GOOD, "source": "lab2031"})
        assert main(["data", "validate", file]) == 1
        sources = tmp_path / "my_sources.csv"
        sources.write_text("source\nlab2031\n", encoding="utf-8")
        assert main(["data", "validate", file, "--sources", str(sources)]) == 0

    def test_source_listed_in_sources_csv_of_the_same_folder_is_accepted(self, tmp_path: Path) -> None:
        file = write(tmp_path / "pellets.csv", {**GOOD, "source": "lab2031"})
        assert main(["data", "validate", file]) == 1  # not in the committed list of sources
        (tmp_path / "sources.csv").write_text("source\nlab2031\n", encoding="utf-8")
        assert main(["data", "validate", file]) == 0

    def test_dash_reads_standard_input(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        stdin = io.TextIOWrapper(io.BytesIO(file_of(GOOD).encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
        assert main(["data", "validate", "-"]) == 0
        assert capsys.readouterr().out == "standard input: 1 rows, 0 errors, 0 warnings\n"

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("old.xls", b"\xd0\xcf\x11\xe0" + b"\0" * 99, "an old workbook"),
            ("old.csv", b"pellet_id,notes\np1,5 \xb5m\n", "not UTF-8"),
            ("empty.csv", b"", "the file is empty"),
            ("bad.json", b"[{]", "not valid JSON"),
        ],
    )
    def test_unreadable_file_exits_with_code_2(
        self, name: str, content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / name).write_bytes(content)
        assert main(["data", "validate", str(tmp_path / name)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert message in captured.err
        assert "Traceback" not in captured.err

    def test_outdated_checksum_is_reported(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write(folder / "pellets.csv", GOOD, OTHER)
        assert main(["data", "validate"]) == 0
        assert "data checksums --write" in capsys.readouterr().err


class TestSummary:
    """nasicon-ml data summary"""

    def test_all_parts_are_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["data", "summary"]) == 0
        text = capsys.readouterr().out
        for title in (
            "All pellets of dataset 2",
            "By alkali",
            "By system",
            "By field",
            "By choice",
            "By source",
            "Why pellets",
        ):
            assert f"{title}" in text
        assert "raj2023" in text
        assert "https://doi.org/10.1021/acsaem.2c02464" in text  # long values are not truncated

    @pytest.mark.usefixtures("folder")
    def test_part_and_top_options_limit_the_output(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["data", "summary", "--part", "systems", "--top", "1"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "By system, the first 1 of 2"
        assert len(lines) == 3
        assert lines[2].split()[:2] == ["LATP", "2"]

    @pytest.mark.usefixtures("folder")
    def test_json_contains_the_same_counts(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["data", "summary", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["version"] == ""
        assert report["totals"][0]["pellets"] == 3
        assert {row["system"]: row["pellets"] for row in report["systems"]} == {"LATP": 2, "LTP": 1}
        assert report["sources"][0]["citation"] == "https://doi.org/10.1021/acsaem.2c02464"
        middle = {row["field"]: row["middle"] for row in report["fields"]}
        assert middle["sintering_temperature_c"] == 950
        assert middle["pressure_mpa"] is None

    def test_dataset_with_wrong_checksum_exits_with_code_2(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(folder / "pellets.csv", GOOD)
        assert main(["data", "summary"]) == 2
        assert "checksum" in capsys.readouterr().err


class TestShow:
    """nasicon-ml data show KEY"""

    @pytest.mark.usefixtures("folder")
    def test_pellet_is_printed_with_citation(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["data", "show", "p2"]) == 0
        text = capsys.readouterr().out
        assert "sintering temperature (°C)     1000" in text
        assert "total conductivity (S/cm)      0.0004" in text
        assert "no secondary phase in XRD      no" in text
        assert "system                         LATP" in text
        assert text.endswith("Cite as: https://doi.org/10.1021/acsaem.2c02464\n")

    @pytest.mark.usefixtures("folder")
    def test_json_contains_pellet_and_source(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["data", "show", "p1", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["pellet"]["conductivity_total_s_cm"] == 3e-4
        assert report["pellet"]["pressure_mpa"] is None
        assert report["source"]["doi"] == "10.1021/acsaem.2c02464"

    def test_invalid_formula_is_printed_as_in_the_file(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        odd = {**GOOD, "formula": "Li1.5Sn2Zr0.5P2.5O12", "suspect": "true", "suspect_reason": "odd"}
        write(folder / "pellets.csv", odd)
        renew_checksums(folder)
        assert main(["data", "show", "p1"]) == 0
        assert "Li1.5Sn2Zr0.5P2.5O12" in capsys.readouterr().out

    def test_unknown_key_exits_with_code_2_and_suggests_similar_key(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["data", "show", "p27841804c1"]) == 2
        assert "Did you mean 'p27841804c2'?" in capsys.readouterr().err

    @pytest.mark.usefixtures("folder")
    @pytest.mark.parametrize(
        "key", ["raj2023", "10.1021/acsaem.2c02464", "https://doi.org/10.1021/ACSAEM.2C02464"]
    )
    def test_source_or_doi_lists_its_pellets(self, key: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["data", "show", key]) == 0
        text = capsys.readouterr().out
        assert [word for word in ("p1 ", "p2 ", "p3 ") if word in text] == ["p1 ", "p2 "]
        assert text.endswith("Cite as: https://doi.org/10.1021/acsaem.2c02464\n")
        assert main(["data", "show", key, "--json"]) == 0
        (source,) = json.loads(capsys.readouterr().out)["sources"]
        assert [pellet["pellet_id"] for pellet in source["pellets"]] == ["p1", "p2"]

    @pytest.mark.usefixtures("folder")
    def test_spaces_around_key_are_ignored(self) -> None:
        assert main(["data", "show", " p1 "]) == 0


@pytest.mark.usefixtures("folder")
class TestFind:
    """nasicon-ml data find"""

    def test_matching_pellets_are_sorted_and_counted(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert (
            main(["data", "find", "--system", "LATP", "--sintering-temperature", "850..1100", "--density", ">95"])
            == 0
        )
        captured = capsys.readouterr()
        lines = captured.out.splitlines()
        assert [line.split()[0] for line in lines[1:3]] == ["p2", "p1"]
        assert lines[1].startswith("p2      Li1.4Al0.4Ti1.6(PO4)3  1000 °C, in air")
        assert "2 pellets of 1 source" in lines
        assert "  total conductivity: 2 reported, 3.0e-4 to 4.0e-4 S/cm, middle 3.5e-4" in lines
        assert captured.err == "looked for: system LATP, sintering temperature 850..1100, relative density >95\n"

    def test_csv_json_and_output_file_contain_all_matches(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["data", "find", "--element", "Al", "--top", "1", "--output", str(folder / "found.csv")]
        assert main([*command, "--csv"]) == 0
        table = pd.read_csv(io.StringIO(capsys.readouterr().out))
        assert table["pellet_id"].tolist() == ["p2", "p1"]
        assert table.equals(pd.read_csv(folder / "found.csv"))
        assert main([*command[:6], "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["count"], report["sources"], len(report["pellets"])) == (2, 1, 2)

    def test_no_match_exits_with_code_0(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["data", "find", "--without", "Al", "--density", "<30"]) == 0
        assert capsys.readouterr().out == "0 pellets of 0 sources\n"

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--density", "95 MPa"], "--density: '95 MPa' is not accepted; allowed: a number (900), a range"),
            (["--atmosphere", "argn"], "--atmosphere: 'argn' is not accepted"),
            (["--element", "al"], "--element: 'al' is not accepted"),
            (["--sort", "densty"], "--sort: 'densty' is not accepted"),
            (["--sort", "densty"], "Did you mean 'density'?"),
            (["--csv", "--json"], "give one of them"),
            (["--output", "found.xlsx"], "the name must end in .csv"),
        ],
    )
    def test_invalid_option_exits_with_code_2(
        self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["data", "find", *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert message in captured.err


@pytest.mark.usefixtures("folder")
def test_cite_prints_each_source_once_as_bibtex(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "cite", "p1", "p2", "doi:10.1021/acsaem.2c02464", "zhao2022"]) == 0
    entries = capsys.readouterr().out
    assert entries.count("@") == 2
    assert "@article{raj2023,\n  doi = {10.1021/acsaem.2c02464},\n" in entries
    assert "to find it, search for: LiTi2(PO4)3" in entries
    assert main(["data", "cite", "p9"]) == 2
    assert "the id of a pellet of the dataset, a source or a DOI" in capsys.readouterr().err


class TestChecksums:
    """nasicon-ml data checksums"""

    def test_checksums_differ_after_change_and_match_after_write(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["data", "checksums"]) == 0
        write(folder / "pellets.csv", GOOD)
        (folder / "sources.csv").unlink()
        assert main(["data", "checksums"]) == 1
        lines = capsys.readouterr().out.splitlines()[-2:]
        assert [line.split(maxsplit=2)[1:] for line in lines] == [
            ["pellets.csv", "differs"],
            ["sources.csv", "gone"],
        ]
        assert main(["data", "checksums", "--write"]) == 0
        assert main(["data", "checksums"]) == 0
        assert capsys.readouterr().out.splitlines()[-1].endswith("pellets.csv  as recorded")


def test_data_help_lists_all_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in ("validate", "summary", "find", "show", "cite", "checksums"))


@pytest.mark.parametrize("name", ["x\0.csv", "\ud800.csv"], ids=["NUL", "surrogate"])
def test_impossible_file_name_exits_with_code_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "validate", name]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_unknown_system_exits_with_code_2_and_suggests_similar_system(capsys):
    assert main(["data", "find", "--system", "LATPP"]) == 2
    assert "Did you mean 'LATP'?" in capsys.readouterr().err
    assert main(["data", "find", "--system", "LATP, LAGP", "--density", ">99"]) == 0


@pytest.mark.parametrize("verb", [["predict"], ["profile"], ["data", "find"]])
def test_unquoted_value_with_space_is_rejected_with_quoted_form(verb, capsys):
    assert main([*verb, "--formula", "LATP", "x=0.3", "--sintering-temperature", "800,900"]) == 2
    assert '--formula "LATP x=0.3"' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "interpretation"),
    [
        (["latp"], "system latp"),
        (["LATP", "x=0.3"], "composition LATP x=0.3"),
        (["Li1.3Al0.3Ti1.7(PO4)3"], "composition Li1.3Al0.3Ti1.7(PO4)3"),
        (["spark", "plasma"], "'spark plasma' in its texts"),
    ],
)
def test_find_interprets_words_without_option_and_reports_it(words, interpretation, capsys):
    assert main(["data", "find", *words, "--atmosphere", "Ar", "--top", "1"]) == 0
    assert interpretation in capsys.readouterr().err


def test_find_rejects_word_that_repeats_an_option(capsys):
    assert main(["data", "find", "LATP", "--system", "LAGP"]) == 2
    assert "--system LAGP and 'LATP' are two values of the same" in capsys.readouterr().err


def test_find_suggests_similar_system_if_no_text_matches(capsys):
    assert main(["data", "find", "LATPP"]) == 0
    assert "nothing says 'LATPP'. Did you mean 'LATP'?" in capsys.readouterr().err
