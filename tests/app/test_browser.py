"""The pages in Chromium: form, upload, links, errors, two visitors, requests to other hosts, accessibility."""

from __future__ import annotations

import os
import re
import shutil
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from nasicon_ml.columns import Column
from nasicon_ml.data.find import find_pellets
from nasicon_ml.io import table_as_csv

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED = os.environ.get("NASICON_ML_REQUIRE_CHROMIUM") == "1"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and not REQUIRED, reason="Chromium is not installed: apt-get install chromium"
    ),
]
PAGES = ("", "compare", "literature", "pellets", "next", "models")
_TIMEOUT_MS = 300_000
#: Streamlit's drop zone has a role that axe reports as ineffective.
_IGNORED_AXE_RULES = {"presentation-role-conflict"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(autouse=True)
def _close_contexts(browser: Browser) -> Iterator[None]:
    """Close the pages of a test, because open pages use processor time and slow down the following tests."""
    yield
    for context in browser.contexts:
        context.close()


def open_page(browser: Browser, url: str, fetched: list[str] | None = None) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light").new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    if fetched is not None:
        page.on("request", lambda request: fetched.append(request.url))
    page.goto(url)
    return wait_until_loaded(page)


def wait_until_loaded(page: Page) -> Page:
    page.wait_for_selector("h1")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    return page


def first_metric(page: Page) -> str:
    return str(page.get_by_test_id("stMetricValue").first.inner_text())


def test_form_updates_the_prediction_and_the_url_reproduces_it(browser: Browser, address: str) -> None:
    page = open_page(browser, address)
    before = first_metric(page)
    field = page.get_by_label("Composition", exact=True)
    field.fill("Na3Zr2Si2PO12")
    field.press("Enter")
    expect(page.get_by_test_id("stMetricValue").first).not_to_have_text(before, timeout=_TIMEOUT_MS)
    wait_until_loaded(page)
    assert "formula=Na3Zr2Si2PO12" in page.url
    reopened = open_page(browser, page.url)
    assert first_metric(reopened) == first_metric(page)
    reopened.reload()
    assert first_metric(wait_until_loaded(reopened)) == first_metric(page)


def test_uploaded_pellets_change_the_predictions_of_one_visitor_only(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    rows = ["formula,sintering_temperature_c,conductivity_total_s_cm"]
    rows += [f"Li1.3Al0.3Ti1.7(PO4)3,{at},2.1e-3" for at in (900, 910, 920, 930)]
    (tmp_path / "secret name.csv").write_text("\n".join(rows))
    page, other = (open_page(browser, f"{address}/pellets") for _ in range(2))
    page.locator("input[type=file]").set_input_files(tmp_path / "secret name.csv")
    expect(page.get_by_text("4 own pellets of secret name.csv move")).to_be_visible(timeout=_TIMEOUT_MS)
    for visitor in (page, other):
        visitor.get_by_role("link", name="Recipe").first.click()
        expect(visitor.get_by_test_id("stMetricValue")).to_have_count(3, timeout=_TIMEOUT_MS)
        wait_until_loaded(visitor)
    assert "your pellets moved it" in page.inner_text("body")
    assert "secret name" not in other.inner_text("body")
    assert first_metric(page) != first_metric(other)


def test_invalid_uploads_show_an_error_without_traceback_or_path(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.csv").write_text("formula,relative_density_pct\nLATP x=0.3,95\nXq7,94\n")
    page = open_page(browser, f"{address}/pellets")
    page.locator("input[type=file]").set_input_files(tmp_path / "bad.csv")
    expect(page.get_by_text("until these cells are right")).to_be_visible(timeout=_TIMEOUT_MS)
    (tmp_path / "bomb.xlsx").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    page.locator("input[type=file]").set_input_files(tmp_path / "bomb.xlsx")
    expect(page.get_by_test_id("stAlert").first).to_contain_text("bomb.xlsx", timeout=_TIMEOUT_MS)
    assert "Traceback" not in page.inner_text("body")
    assert str(tmp_path) not in page.inner_text("body")


def test_pages_load_no_external_resources(browser: Browser, address: str) -> None:
    fetched: list[str] = []
    for name in PAGES:
        open_page(browser, f"{address}/{name}", fetched)
    assert len(fetched) > len(PAGES)
    assert [url for url in fetched if not url.startswith((address, "data:", "blob:"))] == []


def test_chart_can_be_downloaded_and_its_points_link_to_papers(browser: Browser, address: str) -> None:
    page = open_page(browser, f"{address}/?formula=LATP+x%3D0.3&sintering_temperature_c=900")
    page.context.route("https://doi.org/**", lambda route: route.fulfill(body="the paper"))
    page.get_by_test_id("stVegaLiteChart").first.hover()
    with page.expect_download() as saved:  # by keyboard: the page header may cover the button
        page.get_by_role("button", name="Download as PNG: conductivity (S/cm)").press("Enter")
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")
    point = page.locator("svg path[aria-label*='link: https://doi.org/10.']").first
    while not page.url.startswith("https://doi.org/10."):  # a click is lost if the chart is redrawn meanwhile
        with suppress(PlaywrightError):
            point.click(force=True, timeout=1000)
            page.wait_for_url("https://doi.org/10.*/**", timeout=5000)


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible_and_fits_a_phone(name: str, browser: Browser, address: str) -> None:
    page = open_page(browser, f"{address}/{name}")
    page.evaluate("document.fonts.ready")
    backgrounds = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"getComputedStyle(document.querySelector('.stApp')).colorScheme == '{scheme}'")
        backgrounds.append(page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor"))
        violations = {
            violation["id"]: violation["nodes"][0]["html"] for violation in Axe().run(page).response["violations"]
        }
        assert {rule: html for rule, html in violations.items() if rule not in _IGNORED_AXE_RULES} == {}, scheme
    assert backgrounds[0] != backgrounds[1]
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def assert_no_internal_error(page: Page, address: str) -> None:
    """Check that the page shows no traceback and no internal error, and that the server is healthy."""
    words = page.inner_text("body")
    assert "Traceback" not in words
    assert "fault of nasicon-ml" not in words
    assert urllib.request.urlopen(f"{address}/_stcore/health").read() == b"ok"  # noqa: S310


def test_upload_of_200_megabytes_is_rejected(browser: Browser, address: str, tmp_path: Path) -> None:
    with (tmp_path / "large.csv").open("wb") as large:
        large.truncate(200_000_000)
    page = open_page(browser, f"{address}/pellets")
    page.locator("input[type=file]").set_input_files(tmp_path / "large.csv")
    expect(page.get_by_text("File must be 50.0MB or smaller")).to_be_visible(timeout=_TIMEOUT_MS)
    assert_no_internal_error(wait_until_loaded(page), address)


def test_workbook_that_decompresses_to_gigabytes_is_rejected(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb:
        for sheet in range(1, 3):
            with bomb.open(f"xl/worksheets/sheet{sheet}.xml", "w") as cells:
                for _ in range(1100):
                    cells.write(bytes(1_000_000))
    page = open_page(browser, f"{address}/pellets")
    page.locator("input[type=file]").set_input_files(tmp_path / "bomb.xlsx")
    expect(page.get_by_test_id("stAlert").first).to_contain_text("bomb.xlsx", timeout=_TIMEOUT_MS)
    assert_no_internal_error(wait_until_loaded(page), address)


def test_formula_of_one_megabyte_is_rejected(browser: Browser, address: str) -> None:
    page = open_page(browser, address)
    field = page.get_by_label("Composition", exact=True)
    field.fill("Li" * 500_000)
    field.press("Enter")
    expect(page.get_by_test_id("stMetric")).to_have_count(0, timeout=_TIMEOUT_MS)
    expect(page.get_by_test_id("stAlert")).to_be_visible(timeout=_TIMEOUT_MS)
    assert len(page.inner_text("body")) < 20_000
    assert_no_internal_error(wait_until_loaded(page), address)
    with suppress(PlaywrightError):  # the server rejects such a long URL, which Chromium may report as an error
        page.goto(f"{address}/?formula={'Li' * 500_000}")
    assert_no_internal_error(open_page(browser, f"{address}/?formula={'Li' * 10_000}"), address)


@pytest.mark.parametrize(
    "path",
    [
        "?formula=%00%FF%3Cscript%3E&along=zzz&atmosphere=plasma&sintering_time_h=-",
        "compare?recipes=%5B%7B%22formula",
        "literature?across=zzz&up=7&filters=zzz&with=Zz",
        "literature?system=%00",
        "next?campaign=/etc/passwd",
        "next?campaign=%00",
        "models?registered=true&answers=models:/none/99",
        "nowhere?formula=7",
    ],
)
def test_invalid_url_shows_no_internal_error(path: str, browser: Browser, address: str) -> None:
    assert_no_internal_error(open_page(browser, f"{address}/{path}"), address)


def test_rapid_clicks_do_not_affect_another_visitor(browser: Browser, address: str) -> None:
    page, other = open_page(browser, f"{address}/models"), open_page(browser, address)
    expected = first_metric(open_page(browser, f"{address}/?formula=Na3Zr2Si2PO12"))
    page.evaluate("""() => {
        let left = 200;
        const click = () => {
            document.querySelector('[data-testid=stCheckbox] input').click();
            if (--left) setTimeout(click, 50); else document.body.dataset.clicked = 'all';
        };
        click();
    }""")
    field = other.get_by_label("Composition", exact=True)
    field.fill("Na3Zr2Si2PO12")
    field.press("Enter")
    expect(other.get_by_test_id("stMetricValue").first).to_have_text(expected, timeout=_TIMEOUT_MS)
    page.wait_for_selector("body[data-clicked=all]", state="attached")
    assert_no_internal_error(wait_until_loaded(page), address)
    assert "Na3Zr2" not in page.inner_text("body")
    assert_no_internal_error(wait_until_loaded(other), address)


def test_filtered_literature_survives_a_reload_and_can_be_downloaded(browser: Browser, address: str) -> None:
    page = open_page(browser, f"{address}/literature")
    field = page.get_by_label("System", exact=True)
    field.fill("LAGP")
    field.press("Enter")
    expected = find_pellets(system="LAGP")
    summary = page.get_by_text(f"{len(expected)} pellets of ")
    expect(summary).to_be_visible(timeout=_TIMEOUT_MS)
    wait_until_loaded(page)
    page.reload()
    expect(summary).to_be_visible(timeout=_TIMEOUT_MS)
    wait_until_loaded(page)
    downloads = []
    for button in ("Pellets as CSV", "Sources as BibTeX"):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        downloads.append(Path(download.value.path()).read_text(encoding="utf-8"))
    assert downloads[0] == table_as_csv(expected)
    assert downloads[1].count("\n@") + 1 == expected[Column.SOURCE].nunique()
    assert {doi.split(";")[0] for doi in expected[Column.DOI].dropna()} <= set(
        re.findall(r"doi = {(.*?)}", downloads[1])
    )
