"""A headless Chromium for the pages, where there is one; without it, tests that need it skip."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"there is no browser here ({', '.join(NAMES)})")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page opened from the disk; what it complains of and asks for is kept."""

    def __init__(
        self,
        browser: Any,
        page: Path,
        width: int,
        height: int,
        phone: bool,
        until: str = "load",
    ) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        context = browser.new_context(
            viewport={"width": width, "height": height}, has_touch=phone, is_mobile=phone
        )
        self.tab = context.new_page()
        self.tab.on("console", self._hear)
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.goto(f"file://{page}", wait_until=until)

    def _hear(self, said: Any) -> None:
        if "willReadFrequently" not in said.text:  # of the tests' own reading of the picture
            self.complaints.append(said.text)

    def frame(self, number: int) -> None:
        """Wait until this frame is drawn."""
        self.tab.wait_for_selector(f"html[data-frame='{number}']", state="attached", timeout=15_000)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def level(self, x: float, y: float) -> float:
        """Brightness of the picture at a place told in shares of its width and height."""
        reader = """([x, y]) => {
            const c = document.getElementById("picture");
            const at = [Math.floor(x * c.width), Math.floor(y * c.height), 1, 1];
            const [r, g, b] = c.getContext("2d").getImageData(...at).data;
            return (r + g + b) / 3;
        }"""
        return float(self.tab.evaluate(reader, [x, y]))

    def sent_out(self) -> list[str]:
        """Requests that left the page."""
        return [url for url in self.requests if not url.startswith(("file:", "blob:", "data:"))]

    def overflow_px(self) -> int:
        """By how much the page is wider than its window."""
        return int(self.tab.evaluate("() => document.documentElement.scrollWidth - innerWidth"))

    def violations(self) -> list[str]:
        """What axe finds against WCAG 2 A and AA; nothing where axe is not installed."""
        package = importlib.util.find_spec("axe_playwright_python")
        if package is None or package.origin is None:
            return []
        self.tab.evaluate((Path(package.origin).parent / "axe.min.js").read_text("utf-8"))
        run = "() => axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']})"
        found = self.tab.evaluate(run)["violations"]
        return [f"{v['id']}: {[node['html'][:80] for node in v['nodes']]}" for v in found]

    def faint_words(self) -> list[str]:
        """Text whose contrast with what lies behind it is below WCAG's AA."""
        return list(self.tab.evaluate(CONTRAST))


CONTRAST = r"""() => {
  const parse = (text) => {
    const n = text.match(/[\d.]+/g).map(Number);
    return { rgb: n.slice(0, 3), a: n.length > 3 ? n[3] : 1 };
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => {
      const c = v / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const over = (top, below) => top.rgb.map((v, i) => top.a * v + (1 - top.a) * below[i]);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(parse(getComputedStyle(at).backgroundColor));
    }
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const words = walk.currentNode.textContent.trim(), element = walk.currentNode.parentElement;
    if (!words || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element), behind = ground(element);
    const ink = over(parse(style.color), behind);
    const [a, b] = [light(ink), light(behind)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${words.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return found;
}"""
