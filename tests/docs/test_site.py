"""The site: every page of docs/ has its place, every public name its entry, and it is built without a warning."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright
from sphinx.util.inventory import InventoryFile
from tools.build_site import INDEX, REFERENCE, SITE, parts, public_modules, public_names

import nasicon_ml
from tests.contracts.source import ROOT, modules, tracked_files

SECTIONS = parts((ROOT / INDEX).read_text(encoding="utf-8"))
MODULES = public_modules((ROOT / REFERENCE).read_text(encoding="utf-8"))
# What a browser would fetch by itself; a link is only followed by a person.
FETCHED = re.compile(
    r"<(?:script|img|iframe)[^>]*\ssrc=\"https?://|<link[^>]*rel=\"stylesheet\"[^>]*href=\"https?://"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED = os.environ.get("NASICON_ML_REQUIRE_CHROMIUM") == "1"
LOOKED_AT = (
    "README", "docs/README", "docs/cli", "docs/method", "docs/uncertainty", "docs/accuracy", "docs/screening",
    "notebooks/01_dataset", "reference/nasicon_ml.screening", "search",
)  # fmt: skip


def test_parts_stand_in_the_order_in_which_users_need_them() -> None:
    assert list(SECTIONS) == [
        "Start", "Recipes", "Answers and what they are worth", "Own pellets and campaigns", "Screening",
        "Training and registry", "Serving", "Reference", "How it was made",
    ]  # fmt: skip


def test_every_page_and_notebook_has_one_place() -> None:
    placed = [page for pages in SECTIONS.values() for page in pages]
    assert len(placed) == len(set(placed))
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in tracked_files()
        if path.suffix in {".md", ".ipynb"} and path.parent.name in {"docs", "notebooks"}
    }
    assert ours - {INDEX.as_posix()} <= set(placed)


def test_modules_that_pages_name_are_in_the_reference() -> None:
    known = {module.name for module in modules()}
    pages = [ROOT / page for pages in SECTIONS.values() for page in pages]
    imported = {
        name
        for page in pages
        for name in re.findall(r"from (nasicon_ml[\w.]*) import", page.read_text(encoding="utf-8"))
    }
    assert len(imported) > 10
    assert imported <= set(MODULES) <= known
    assert len(MODULES) == len(set(MODULES))


def test_every_picture_is_on_a_page_and_small() -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in tracked_files() if path.suffix == ".md")
    pictures = [path for path in tracked_files() if path.parent == ROOT / "docs" / "images"]
    assert len(pictures) > 10
    assert [path.name for path in pictures if f"images/{path.name})" not in shown] == []
    assert [path.name for path in pictures if path.stat().st_size > 200_000] == []


def test_what_a_module_offers() -> None:
    assert public_names(nasicon_ml) == [name for name in nasicon_ml.__all__ if name != "__version__"]
    offered = public_names(importlib.import_module("nasicon_ml.columns"))
    assert {"Column", "Role", "is_missing", "RECIPE"} <= set(offered)
    assert not {"Any", "annotations"} & set(offered)


@pytest.fixture(scope="module")
def site() -> Path:
    outcome = subprocess.run(
        [sys.executable, "-m", "tools.build_site"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    return SITE


@pytest.mark.slow
class TestBuilt:
    def test_every_page_is_there_and_can_be_searched(self, site: Path) -> None:
        index = (site / "searchindex.js").read_text(encoding="utf-8")
        for page in (page for pages in SECTIONS.values() for page in pages):
            name = page.rpartition(".")[0]
            assert (site / f"{name}.html").is_file()
            assert f'"{name}"' in index
        assert "README.html" in (site / "index.html").read_text(encoding="utf-8")

    def test_every_public_name_is_in_the_reference(self, site: Path) -> None:
        found = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
        described = {name for items in found.data.values() for name in items}
        once = set(public_names(nasicon_ml))  # described at the roof alone
        missing = [
            f"{module}.{name}"
            for module in MODULES
            for name in public_names(importlib.import_module(module))
            if f"{module}.{name}" not in described and name not in once
        ]
        assert {f"nasicon_ml.{name}" for name in once} <= described
        assert missing == []

    def test_nothing_is_fetched_from_elsewhere(self, site: Path) -> None:
        pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
        assert [str(path) for path, text in pages.items() if FETCHED.search(text)] == []

    def test_notebooks_show_the_outputs_that_are_kept(self, site: Path) -> None:
        page = (site / "notebooks" / "01_dataset.html").read_text(encoding="utf-8")
        assert "<h1>1. What the dataset holds" in page
        assert page.count("_images/") > 3

    @pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="there is no Chromium: apt-get install chromium")
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_pages_can_be_used_by_everybody_and_fit_a_telephone(
        self, site: Path, scheme: Literal["light", "dark"]
    ) -> None:
        found = {}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_context(color_scheme=scheme).new_page()
            for name in LOOKED_AT:
                page.set_viewport_size({"width": 1280, "height": 900})
                page.goto((site / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.dataset.theme") == scheme
                for each in Axe().run(page).response["violations"]:
                    html = each["nodes"][0]["html"]
                    if html != "<th></th>":  # the corner of a table of pandas
                        found[name, each["id"]] = html
                page.set_viewport_size({"width": 390, "height": 844})
                if page.evaluate("document.documentElement.scrollWidth") > 390:
                    found[name, "width"] = "scrolls sideways"
            browser.close()
        assert found == {}
