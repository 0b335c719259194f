"""The page of a batch in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.browser import Visit, chromium
from vidref.fleet.state import BatchState, Request, owner_here
from vidref.fleet.summary import write_page
from vidref.settings import Settings


@pytest.mark.parametrize(("width", "phone"), [(1200, False), (360, True)])
def test_the_page_can_be_read_by_everyone_and_asks_for_nothing(
    tmp_path: Path, width: int, phone: bool
) -> None:
    settings, me = Settings.load().model_dump_json(), owner_here()
    with chromium() as browser, BatchState(tmp_path / "state.sqlite", create=True) as state:
        names = ["done", "failed", "running", "a <b>&'name", "waiting" + 60 * "-long"]
        state.add(
            [Request(f"/in/{name}.mp4", f"{tmp_path}/{name}.mp4", settings) for name in names]
        )
        for end in ("done", "failed", "running"):
            row = state.claim(me, 60)
            assert row is not None
            state.step(row.id, me, "restore")
            if end == "done":
                state.done(row.id, me, 12345, 10, None, ["It was dark."])
            elif end == "failed":
                state.give_up(row.id, me, "failed", "It is <damaged>.", "")
        page = tmp_path / "batch.html"
        write_page(state.clips(), page, "A batch")
        visit = Visit(browser, page, width, 800, phone)
        assert visit.complaints == [] and visit.sent_out() == []
        assert visit.violations() == [] and visit.faint_words() == []
        assert visit.overflow_px() <= 0
        text = visit.tab.inner_text("body")
        assert "It is <damaged>." in text and "a <b>&'name.mp4" in text
        first = visit.tab.inner_text("tbody tr")
        assert "failed" in first, "what must be looked at comes first"
