"""The judges must be there before a clip is made."""

from __future__ import annotations

import pytest

from tests import judge


@pytest.fixture
def judges() -> None:
    judge.require_tools("ffmpeg", "ffprobe", "mkvmerge", "mkvextract", "mkvpropedit")
