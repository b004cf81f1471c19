"""The pages in Chromium: form to answer, upload, link, errors, two visitors, what is fetched, accessibility."""

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
    pytest.mark.skipif(CHROMIUM is None and not REQUIRED, reason="there is no Chromium: apt-get install chromium"),
]
PAGES = ("", "compare", "literature", "pellets", "next", "models")
_PATIENCE_MS = 300_000
#: Streamlit's own drop zone has a role that axe finds to be of no effect.
_STREAMLITS_OWN = {"presentation-role-conflict"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(autouse=True)
def _visits_end(browser: Browser) -> Iterator[None]:
    """Close what a test has opened: pages that stay would take part of the processor from those that follow."""
    yield
    for visit in browser.contexts:
        visit.close()


def opened(browser: Browser, url: str, fetched: list[str] | None = None) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light").new_page()
    page.set_default_timeout(_PATIENCE_MS)
    if fetched is not None:
        page.on("request", lambda request: fetched.append(request.url))
    page.goto(url)
    return settled(page)


def settled(page: Page) -> Page:
    page.wait_for_selector("h1")
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    return page


def metric(page: Page) -> str:
    return str(page.get_by_test_id("stMetricValue").first.inner_text())


def test_a_form_becomes_an_answer_and_a_link_that_gives_it_again(browser: Browser, address: str) -> None:
    page = opened(browser, address)
    before = metric(page)
    field = page.get_by_label("Composition", exact=True)
    field.fill("Na3Zr2Si2PO12")
    field.press("Enter")
    expect(page.get_by_test_id("stMetricValue").first).not_to_have_text(before, timeout=_PATIENCE_MS)
    settled(page)
    assert "formula=Na3Zr2Si2PO12" in page.url
    again = opened(browser, page.url)
    assert metric(again) == metric(page)
    again.reload()
    assert metric(settled(again)) == metric(page)


def test_own_pellets_move_the_answers_of_one_visitor_alone(browser: Browser, address: str, tmp_path: Path) -> None:
    rows = ["formula,sintering_temperature_c,conductivity_total_s_cm"]
    rows += [f"Li1.3Al0.3Ti1.7(PO4)3,{at},2.1e-3" for at in (900, 910, 920, 930)]
    (tmp_path / "secret name.csv").write_text("\n".join(rows))
    page, other = (opened(browser, f"{address}/pellets") for _ in range(2))
    page.locator("input[type=file]").set_input_files(tmp_path / "secret name.csv")
    expect(page.get_by_text("4 own pellets of secret name.csv move")).to_be_visible(timeout=_PATIENCE_MS)
    for visitor in (page, other):
        visitor.get_by_role("link", name="Recipe").first.click()
        expect(visitor.get_by_test_id("stMetricValue")).to_have_count(3, timeout=_PATIENCE_MS)
        settled(visitor)
    assert "your pellets moved it" in page.inner_text("body")
    assert "secret name" not in other.inner_text("body")
    assert metric(page) != metric(other)


def test_a_bad_file_is_told_by_row(browser: Browser, address: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("formula,relative_density_pct\nLATP x=0.3,95\nXq7,94\n")
    page = opened(browser, f"{address}/pellets")
    page.locator("input[type=file]").set_input_files(tmp_path / "bad.csv")
    expect(page.get_by_text("until these cells are right")).to_be_visible(timeout=_PATIENCE_MS)
    (tmp_path / "bomb.xlsx").write_bytes(b"PK\x03\x04" + b"\0" * 100)
    page.locator("input[type=file]").set_input_files(tmp_path / "bomb.xlsx")
    expect(page.get_by_test_id("stAlert").first).to_contain_text("bomb.xlsx", timeout=_PATIENCE_MS)
    assert "Traceback" not in page.inner_text("body")
    assert str(tmp_path) not in page.inner_text("body")


def test_nothing_is_fetched_from_elsewhere(browser: Browser, address: str) -> None:
    fetched: list[str] = []
    for name in PAGES:
        opened(browser, f"{address}/{name}", fetched)
    assert len(fetched) > len(PAGES)
    assert [url for url in fetched if not url.startswith((address, "data:", "blob:"))] == []


def test_a_measured_pellet_opens_its_paper_and_a_figure_can_be_saved(browser: Browser, address: str) -> None:
    page = opened(browser, f"{address}/?formula=LATP+x%3D0.3&sintering_temperature_c=900")
    page.context.route("https://doi.org/**", lambda route: route.fulfill(body="the paper"))
    page.get_by_test_id("stVegaLiteChart").first.hover()
    with page.expect_download() as saved:  # by key: the button stands over the figure, and may be under the header
        page.get_by_role("button", name="Download as PNG: conductivity (S/cm)").press("Enter")
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")
    point = page.locator("svg path[aria-label*='link: https://doi.org/10.']").first
    while not page.url.startswith("https://doi.org/10."):  # a figure that is drawn anew meanwhile loses a click
        with suppress(PlaywrightError):
            point.click(force=True, timeout=1000)
            page.wait_for_url("https://doi.org/10.*/**", timeout=5000)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_used_by_everybody_and_fits_a_telephone(name: str, browser: Browser, address: str) -> None:
    page = opened(browser, f"{address}/{name}")
    page.evaluate("document.fonts.ready")
    backgrounds = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"getComputedStyle(document.querySelector('.stApp')).colorScheme == '{scheme}'")
        backgrounds.append(page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor"))
        found = {each["id"]: each["nodes"][0]["html"] for each in Axe().run(page).response["violations"]}
        assert {rule: html for rule, html in found.items() if rule not in _STREAMLITS_OWN} == {}, scheme
    assert backgrounds[0] != backgrounds[1]
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def is_sound(page: Page, address: str) -> None:
    """Nothing on the page is a fault of the program, and the server lives."""
    words = page.inner_text("body")
    assert "Traceback" not in words
    assert "fault of nasicon-ml" not in words
    assert urllib.request.urlopen(f"{address}/_stcore/health").read() == b"ok"  # noqa: S310


def test_a_file_of_200_megabytes_is_refused(browser: Browser, address: str, tmp_path: Path) -> None:
    with (tmp_path / "large.csv").open("wb") as large:
        large.truncate(200_000_000)
    page = opened(browser, f"{address}/pellets")
    page.locator("input[type=file]").set_input_files(tmp_path / "large.csv")
    expect(page.get_by_text("File must be 50.0MB or smaller")).to_be_visible(timeout=_PATIENCE_MS)
    is_sound(settled(page), address)


def test_a_workbook_that_unfolds_to_gigabytes_is_refused(browser: Browser, address: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bomb:
        for sheet in range(1, 3):
            with bomb.open(f"xl/worksheets/sheet{sheet}.xml", "w") as cells:
                for _ in range(1100):
                    cells.write(bytes(1_000_000))
    page = opened(browser, f"{address}/pellets")
    page.locator("input[type=file]").set_input_files(tmp_path / "bomb.xlsx")
    expect(page.get_by_test_id("stAlert").first).to_contain_text("bomb.xlsx", timeout=_PATIENCE_MS)
    is_sound(settled(page), address)


def test_a_formula_of_a_megabyte_is_refused(browser: Browser, address: str) -> None:
    page = opened(browser, address)
    field = page.get_by_label("Composition", exact=True)
    field.fill("Li" * 500_000)
    field.press("Enter")
    expect(page.get_by_test_id("stMetric")).to_have_count(0, timeout=_PATIENCE_MS)
    expect(page.get_by_test_id("stAlert")).to_be_visible(timeout=_PATIENCE_MS)
    assert len(page.inner_text("body")) < 20_000
    is_sound(settled(page), address)
    with suppress(PlaywrightError):  # the web server takes no such address, which Chromium may call an error
        page.goto(f"{address}/?formula={'Li' * 500_000}")
    is_sound(opened(browser, f"{address}/?formula={'Li' * 10_000}"), address)


@pytest.mark.parametrize(
    "nonsense",
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
def test_nonsense_in_the_address_is_no_fault(nonsense: str, browser: Browser, address: str) -> None:
    is_sound(opened(browser, f"{address}/{nonsense}"), address)


def test_two_hundred_clicks_disturb_no_other_visitor(browser: Browser, address: str) -> None:
    page, other = opened(browser, f"{address}/models"), opened(browser, address)
    expected = metric(opened(browser, f"{address}/?formula=Na3Zr2Si2PO12"))
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
    expect(other.get_by_test_id("stMetricValue").first).to_have_text(expected, timeout=_PATIENCE_MS)
    page.wait_for_selector("body[data-clicked=all]", state="attached")
    is_sound(settled(page), address)
    assert "Na3Zr2" not in page.inner_text("body")
    is_sound(settled(other), address)


def test_what_was_filtered_survives_a_reload_and_can_be_taken_along(browser: Browser, address: str) -> None:
    page = opened(browser, f"{address}/literature")
    field = page.get_by_label("System", exact=True)
    field.fill("LAGP")
    field.press("Enter")
    found = find_pellets(system="LAGP")
    words = page.get_by_text(f"{len(found)} pellets of ")
    expect(words).to_be_visible(timeout=_PATIENCE_MS)
    settled(page)
    page.reload()
    expect(words).to_be_visible(timeout=_PATIENCE_MS)
    settled(page)
    taken = []
    for button in ("Pellets as CSV", "Sources as BibTeX"):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        taken.append(Path(download.value.path()).read_text(encoding="utf-8"))
    assert taken[0] == table_as_csv(found)
    assert taken[1].count("\n@") + 1 == found[Column.SOURCE].nunique()
    assert {doi.split(";")[0] for doi in found[Column.DOI].dropna()} <= set(re.findall(r"doi = {(.*?)}", taken[1]))
