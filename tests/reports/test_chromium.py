"""The page in a browser: it asks for nothing, says nothing on the console, fits a telephone, reads in both themes."""

import itertools
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Error, sync_playwright

from gradaudit.reports import json_document
from gradaudit.reports.html import page as html_page
from gradaudit.reports.read_document import report_of
from tests.reports import hostile

pytestmark = pytest.mark.slow

VARIABLE = "GRADAUDIT_CHROMIUM"
"""Names the browser; where it is set, the tests are never skipped."""

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

CONTRAST = """
() => {
  const number = text => text.match(/[0-9.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const part = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = number(getComputedStyle(element).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  let worst = [99, ""];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.tagName === "title") continue;
    const style = getComputedStyle(element);
    const ink = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
    const pair = [light(number(ink)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < worst[0]) worst = [ratio, `${element.tagName} ${element.textContent.slice(0, 40)}`];
  }
  return worst;
}
"""
"""The worst contrast of a text with what is behind it, by WCAG 2."""


@pytest.fixture(scope="module")
def browser():
    named = os.environ.get(VARIABLE)
    found = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip(f"no Chromium is installed; {VARIABLE} may name one")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(full_report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_page.render(full_report), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def visit(browser):
    """Opens an address; what the page asked for and said is in `page.heard`."""
    contexts = []

    def open_page(address, **settings):
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.heard = []
        page.on("console", lambda message: page.heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: page.heard.append(f"error: {error}"))
        page.on("dialog", lambda dialog: page.heard.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: page.heard.append(f"request: {request.url}"))
        page.on("requestfailed", lambda request: page.heard.append(f"{request.failure}: {request.url}"))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()


def open_all(page):
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_it_asks_for_nothing_and_reads_well(visit, address, scheme, size):
    page = visit(address, color_scheme=scheme, viewport=size)
    open_all(page)
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, where
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], "the page is wider than the screen"
    assert [heard for heard in page.heard if not heard.startswith("request: data:")] == [f"request: {address}"]
    folder = os.environ.get("GRADAUDIT_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{scheme}_{size['width']}.png", full_page=True)


DRAWN = """
() => [".bar", ".beyond", ".positive", ".negative", ".nonfinite", ".curve", ".mark", ".limit"].flatMap(name => {
  const found = document.querySelector(`svg ${name}`);
  if (!found) return [];
  const style = getComputedStyle(found);
  return [[name, style.fill === "none" || name === ".limit" ? style.stroke : style.fill]];
})
"""
"""What pictures are drawn with: a class and its colour, before any opacity."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_drawn_stands_out_from_the_page(visit, address, scheme):
    page = visit(address, color_scheme=scheme)
    open_all(page)
    behind = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    drawn = dict(page.evaluate(DRAWN))
    assert len(drawn) >= 5
    for name, colour in drawn.items():
        low, high = sorted((behind, luminance(colour)))
        assert (high + 0.05) / (low + 0.05) >= 3, f"{name} {colour}"


def luminance(colour):
    """Relative luminance of `rgb(r, g, b)`, by WCAG 2."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_captions_can_be_read_on_a_telephone(visit, address):
    page = visit(address, viewport=PHONE)
    open_all(page)
    page.evaluate("document.querySelectorAll('.scroll').forEach(each => each.scrollLeft = 60)")
    boxes = page.evaluate(
        "[...document.querySelectorAll('caption > span')].map(each => each.getBoundingClientRect())"
        ".filter(box => box.width).map(box => [box.left, box.right])"
    )
    assert len(boxes) > 10
    assert all(left >= 0 and right <= PHONE["width"] for left, right in boxes)


def test_tabs_go_down_the_page(visit, address):
    page = visit(address)
    reached = []
    while len(reached) < 200:
        page.keyboard.press("Tab")
        top = page.evaluate("document.activeElement.getBoundingClientRect().top + window.scrollY")
        if page.evaluate("document.activeElement === document.body"):
            break
        reached.append(top)
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML.slice(0, 80)")
    assert 20 < len(reached) < 200
    # The skip link lies above the page; links of one row of a table stand at one height.
    assert all(later >= earlier - 1 for earlier, later in itertools.pairwise(reached[1:]))


def test_on_paper_everything_is_unfolded_and_the_page_is_white(visit, address):
    page = visit(address, color_scheme="dark")
    heat_map = page.locator("details:not([open]) svg").first
    assert not heat_map.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert heat_map.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator(".skip").is_visible()


def test_nothing_moves(visit, address):
    page = visit(address)
    assert page.evaluate("document.getAnimations().length") == 0
    elements = "[...document.querySelectorAll('*')]"
    assert page.evaluate(f"{elements}.every(each => getComputedStyle(each).transitionDuration === '0s')")


def test_a_keyboard_reaches_everything(visit, address):
    page = visit(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the cases"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.url.endswith("#cases")
    page.locator("details:not([open]) > summary").first.focus()
    folded = page.locator("details[open]").count()
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == folded + 1


def test_a_screen_reader_hears_what_there_is(visit, address):
    page = visit(address)
    open_all(page)
    assert page.get_by_role("heading", level=1).inner_text() == "gradaudit report"
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("navigation", name="Cases").get_by_role("link").count() == 4
    assert page.get_by_role("table", name="Cases").get_by_role("columnheader").count() == 6
    assert page.get_by_role("img", name="gradient: error over tolerance of 6 elements").count() > 0
    assert page.get_by_role("img").count() == page.locator("svg").count() > 10


def test_the_content_policy_holds(visit, address):
    page = visit(address)
    with pytest.raises(Error, match="Content Security Policy"):
        page.add_script_tag(content="document.title = 'pwned'")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"http://127.0.0.1:9/x.png\">')")
    page.wait_for_timeout(200)
    assert any("Content Security Policy" in heard for heard in page.heard)
    assert "csp: http://127.0.0.1:9/x.png" in page.heard
    assert "pwned" not in page.title()


@pytest.mark.parametrize("payload", ["end of a script", "markdown", "long", "bidi"])
def test_hostile_names_are_text(visit, full_report, tmp_path, payload):
    document = json.loads(json_document.render(full_report))
    report = report_of(hostile.attacked(document, hostile.PAYLOADS[payload]))
    (tmp_path / "report.html").write_text(html_page.render(report), encoding="utf-8")
    address = (tmp_path / "report.html").as_uri()
    page = visit(address, viewport=PHONE)
    assert page.locator("script, img:not(svg)").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert [heard for heard in page.heard if not heard.startswith("request: data:")] == [f"request: {address}"]
