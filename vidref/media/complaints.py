"""What FFmpeg's demuxer complains of: its only sign that bytes of the container are damaged.

PyAV keeps FFmpeg silent unless asked, and what it is asked for arrives in the thread that called.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import av.logging


class Complaints:
    """Counts the errors that a demuxer logs during the calls that are listened to."""

    def __init__(self, demuxer: str) -> None:
        self.count = 0
        self._demuxer = demuxer
        logger = logging.getLogger("libav")
        logger.propagate = False  # what other threads hear is not for the user's terminal
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
        av.logging.set_level(av.logging.ERROR)

    @contextmanager
    def listen(self) -> Iterator[None]:
        with av.logging.Capture() as logs:
            yield
        self.count += sum(1 for level, name, _ in logs if name == self._demuxer)
