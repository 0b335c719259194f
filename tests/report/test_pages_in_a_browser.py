"""The pages in a real browser, opened from the disk as a user would; skipped without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.browser import Visit, chromium
from tests.report.test_compare import LEVELS, compared, numbered

SIZES = {"a phone": (375, 812, True), "a desk": (1920, 1080, False)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames that can be told apart, with a face that is known of."""
    folder = tmp_path_factory.mktemp("page")
    before = numbered(folder / "before.mp4", LEVELS, size=(160, 96))
    after = numbered(folder / "after.mp4", [one + 60 for one in LEVELS], size=(160, 96))
    page = folder / "page.html"
    compared(before, after, "-o", page, "--faces", "none")
    text = page.read_text()
    track = '{"restored":true,"why":"x","path":[[0,40,48,40],[0.44,60,48,40]]}'
    person = '[{"name":"anna","restored":true,"tracks":[' + track + '],"facts":["One photo"]}]'
    assert '"people":[]' in text
    page.write_text(text.replace('"people":[]', f'"people":{person}'))
    return page


@pytest.mark.parametrize("window", SIZES)
def test_a_page_opens_from_the_disk_without_complaint_or_request(
    window: str, browser: Any, page: Path
) -> None:
    visit = Visit(browser, page, *SIZES[window])
    visit.frame(0)
    assert visit.complaints == [] and visit.sent_out() == []
    assert visit.overflow_px() == 0 and visit.faint_words() == [] and visit.violations() == []


def test_keys_and_buttons_show_exactly_the_frame_that_they_name(browser: Any, page: Path) -> None:
    visit = Visit(browser, page, *SIZES["a desk"])
    visit.frame(0)
    for number in (1, 2, 3):
        visit.press("ArrowRight")
        visit.frame(number)
        assert abs(visit.level(0.3, 0.5) - LEVELS[number]) < 5  # left of the divider: before
    visit.press("End")
    visit.frame(11)
    visit.press("a")
    assert abs(visit.level(0.3, 0.5) - LEVELS[11] - 60) < 5
    visit.press("ArrowLeft")
    visit.frame(10)
    visit.press("b")
    assert abs(visit.level(0.3, 0.5) - LEVELS[10]) < 5
    visit.tab.keyboard.down("x")
    assert abs(visit.level(0.3, 0.5) - LEVELS[10] - 60) < 5
    visit.tab.keyboard.up("x")
    visit.tab.click("#back")
    visit.frame(9)
    visit.tab.locator("#seek").fill("5")
    visit.frame(5)
    assert abs(visit.level(0.3, 0.5) - LEVELS[5]) < 5
    visit.press("d")
    visit.tab.select_option("#gain", "1")
    assert abs(visit.level(0.3, 0.5) - 60) < 6
    assert visit.complaints == []


def test_the_divider_is_dragged_and_moved_by_keys(browser: Any, page: Path) -> None:
    visit = Visit(browser, page, *SIZES["a desk"])
    visit.frame(0)
    box = visit.tab.locator("#picture").bounding_box()
    middle = box["y"] + box["height"] / 2
    visit.tab.mouse.move(box["x"] + box["width"] / 2, middle)
    visit.tab.mouse.down()
    visit.tab.mouse.move(box["x"] + 0.2 * box["width"], middle, steps=4)
    visit.tab.mouse.up()
    assert visit.tab.get_attribute("#divider", "aria-valuenow") == "20"
    assert abs(visit.level(0.3, 0.5) - LEVELS[0] - 60) < 5  # now right of it
    visit.press(".", ".")
    assert visit.tab.get_attribute("#divider", "aria-valuenow") == "24"
    visit.tab.focus("#divider")
    visit.press("ArrowLeft")
    assert visit.tab.get_attribute("#divider", "aria-valuenow") == "22"
    assert visit.tab.get_attribute("html", "data-frame") == "0"


def test_a_face_is_shown_pixel_for_pixel_and_followed(browser: Any, page: Path) -> None:
    visit = Visit(browser, page, *SIZES["a phone"])
    visit.frame(0)
    visit.tab.get_by_role("button", name="Face at 100 %").click()
    zoom = "() => [state.zoom, state.x, state.y, scaleIn(panels()[0]) / ratio]"
    assert visit.tab.evaluate(zoom) == [1, 40, 48, 1]
    visit.press("End")
    visit.frame(11)
    assert visit.tab.evaluate(zoom) == [1, 60, 48, 1]
    visit.press("f")
    assert visit.tab.get_attribute("#frames", "aria-pressed") == "true"
    visit.press("0")
    assert visit.tab.evaluate("() => state.zoom") == 0
    assert visit.complaints == [] and visit.overflow_px() == 0


def test_the_clip_plays_both_halves_to_its_end(browser: Any, page: Path) -> None:
    visit = Visit(browser, page, *SIZES["a desk"])
    visit.frame(0)
    visit.press("m", " ")
    visit.frame(11)
    assert visit.tab.inner_text("#play") == "Play" and visit.complaints == []
    visit.press("?")
    assert visit.tab.locator("dialog").is_visible()
    visit.press("Escape", "s")
    assert visit.tab.get_attribute("[data-mode=side]", "aria-pressed") == "true"
    assert visit.faint_words() == []
