"""Documentation: no dead links, every page in the index, and a changelog entry for the version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.contracts.source import ROOT, modules, tracked_files

INLINE = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
PAGES = [path for path in tracked_files() if path.suffix == ".md"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def prose(text: str) -> str:
    """The text without code blocks and inline code."""
    without_blocks = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "``", without_blocks)


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    without_blocks = re.sub(r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6}\s+(.*?)\s*#*$", without_blocks, flags=re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def dead_links(page: Path, text: str) -> list[str]:
    """The relative links of a page whose target does not exist or is outside the repository."""
    dead = []
    for link in [*INLINE.findall(prose(text)), *REFERENCE.findall(prose(text))]:
        if ELSEWHERE.match(link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if (target and not path.exists()) or not path.is_relative_to(ROOT):
            dead.append(link)
        elif anchor and path.suffix == ".md":
            target_text = text if path == page else path.read_text(encoding="utf-8")
            if anchor not in anchors(target_text):
                dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_has_no_dead_links(page: Path) -> None:
    assert dead_links(page, page.read_text(encoding="utf-8")) == []


def test_docs_index_links_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / link.partition("#")[0]).resolve()
        for link in INLINE.findall(index.read_text(encoding="utf-8"))
    }
    assert [
        page.name for page in PAGES if page.is_relative_to(index.parent) and page not in {*linked, index}
    ] == []


def test_newest_changelog_entry_is_project_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entries = re.findall(r"^## \[?(\d+\.\d+\.\d+)\]?(.*)$", text, flags=re.MULTILINE)
    newest, status = entries[0]
    assert PROJECT["version"] == (f"{newest}.dev0" if "unreleased" in status else newest)
    assert len({number for number, _ in entries}) == len(entries)


def test_version_is_not_hardcoded_in_source() -> None:
    hardcoded = [module.name for module in modules() if f'"{PROJECT["version"]}"' in module.text]
    assert hardcoded == []


def test_dead_links_finds_missing_pages_anchors_and_files() -> None:
    page = ROOT / "docs" / "page.md"
    text = (
        "# Top\n[a](nowhere.md) [b](../README.md#no-such-heading) ![c](<no.png>) [d](#top) [e](https://example.org)\n"
        "`[f](code.md)` [g](../pyproject.toml)\n```\n[h](code.md)\n```\n[i]: gone.md\n[j](../../outside.md)"
    )
    assert dead_links(page, text) == [
        "nowhere.md",
        "../README.md#no-such-heading",
        "no.png",
        "../../outside.md",
        "gone.md",
    ]


def test_anchors_are_made_from_headings_outside_code() -> None:
    assert anchors("## A `code`, and [a link](x.md)\n```\n# no\n```\n") == {"a-code-and-a-link"}
