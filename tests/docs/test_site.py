"""The documentation site: complete, built without warnings, self-contained and accessible."""

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
# Resources of other hosts that a browser loads with the page; links are allowed.
EXTERNAL_RESOURCE = re.compile(
    r"<(?:script|img|iframe)[^>]*\ssrc=\"https?://|<link[^>]*rel=\"stylesheet\"[^>]*href=\"https?://"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED = os.environ.get("NASICON_ML_REQUIRE_CHROMIUM") == "1"
CHECKED_PAGES = (
    "README", "docs/README", "docs/cli", "docs/method", "docs/uncertainty", "docs/accuracy", "docs/screening",
    "notebooks/01_dataset", "reference/nasicon_ml.screening", "search",
)  # fmt: skip


def test_parts_are_in_the_expected_order() -> None:
    assert list(SECTIONS) == [
        "Start", "Recipes", "Answers and what they are worth", "Own pellets and campaigns", "Screening",
        "Training and registry", "Serving", "Reference", "How it was made",
    ]  # fmt: skip


def test_every_page_and_notebook_is_placed_once() -> None:
    placed = [page for pages in SECTIONS.values() for page in pages]
    assert len(placed) == len(set(placed))
    existing = {
        path.relative_to(ROOT).as_posix()
        for path in tracked_files()
        if path.suffix in {".md", ".ipynb"} and path.parent.name in {"docs", "notebooks"}
    }
    assert existing - {INDEX.as_posix()} <= set(placed)


def test_modules_imported_on_pages_are_in_the_reference() -> None:
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


def test_every_picture_is_used_and_small() -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in tracked_files() if path.suffix == ".md")
    pictures = [path for path in tracked_files() if path.parent == ROOT / "docs" / "images"]
    assert len(pictures) > 10
    assert [path.name for path in pictures if f"images/{path.name})" not in shown] == []
    assert [path.name for path in pictures if path.stat().st_size > 200_000] == []


def test_public_names_of_package_and_module() -> None:
    assert public_names(nasicon_ml) == [name for name in nasicon_ml.__all__ if name != "__version__"]
    names = public_names(importlib.import_module("nasicon_ml.columns"))
    assert {"Column", "Role", "is_missing", "RECIPE"} <= set(names)
    assert not {"Any", "annotations"} & set(names)


@pytest.fixture(scope="module")
def site() -> Path:
    outcome = subprocess.run(
        [sys.executable, "-m", "tools.build_site"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr[-3000:]
    return SITE


@pytest.mark.slow
class TestBuiltSite:
    def test_every_page_is_built_and_in_the_search_index(self, site: Path) -> None:
        index = (site / "searchindex.js").read_text(encoding="utf-8")
        for page in (page for pages in SECTIONS.values() for page in pages):
            name = page.rpartition(".")[0]
            assert (site / f"{name}.html").is_file()
            assert f'"{name}"' in index
        assert "README.html" in (site / "index.html").read_text(encoding="utf-8")

    def test_every_public_name_is_in_the_reference(self, site: Path) -> None:
        inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
        described = {name for items in inventory.data.values() for name in items}
        top_level = set(public_names(nasicon_ml))  # described with the top-level package only
        missing = [
            f"{module}.{name}"
            for module in MODULES
            for name in public_names(importlib.import_module(module))
            if f"{module}.{name}" not in described and name not in top_level
        ]
        assert {f"nasicon_ml.{name}" for name in top_level} <= described
        assert missing == []

    def test_pages_load_no_external_resources(self, site: Path) -> None:
        pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
        assert [str(path) for path, text in pages.items() if EXTERNAL_RESOURCE.search(text)] == []

    def test_notebook_page_shows_the_stored_outputs(self, site: Path) -> None:
        page = (site / "notebooks" / "01_dataset.html").read_text(encoding="utf-8")
        assert "<h1>1. What the dataset holds" in page
        assert page.count("_images/") > 3

    @pytest.mark.skipif(
        CHROMIUM is None and not REQUIRED, reason="Chromium is not installed: apt-get install chromium"
    )
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_pages_are_accessible_and_fit_a_phone(self, site: Path, scheme: Literal["light", "dark"]) -> None:
        problems = {}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_context(color_scheme=scheme).new_page()
            for name in CHECKED_PAGES:
                page.set_viewport_size({"width": 1280, "height": 900})
                page.goto((site / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.dataset.theme") == scheme
                for violation in Axe().run(page).response["violations"]:
                    html = violation["nodes"][0]["html"]
                    if html != "<th></th>":  # the empty corner of a pandas table
                        problems[name, violation["id"]] = html
                page.set_viewport_size({"width": 390, "height": 844})
                if page.evaluate("document.documentElement.scrollWidth") > 390:
                    problems[name, "width"] = "scrolls sideways"
            browser.close()
        assert problems == {}
