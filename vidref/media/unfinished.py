"""A file that has another name until it is whole.

It lies beside its final place (so that the last step is one rename on one file system), is locked
while somebody writes it, and whatever a killed run left under that name is swept away by the next.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from vidref.errors import OutputError


class UnfinishedFile:
    """Holds `path`, a temporary neighbour of `final`, until `keep` or `discard`."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.vidref-part")
        folder = final.parent
        if not folder.is_dir():
            raise OutputError(f"The folder {folder} does not exist; create it first.")
        if final.is_dir():
            raise OutputError(f"{final} is a folder; give the name of a file.")
        try:
            self._handle = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o644)
        except OSError as error:
            raise OutputError(
                f"Nothing can be written in {folder} ({(error.strerror or '').lower()}); "
                "choose another folder."
            ) from error
        if not lock(self._handle):
            os.close(self._handle)
            raise OutputError(f"Another run is writing {final} now; wait for it to end.")
        os.ftruncate(self._handle, 0)

    def keep(self) -> None:
        """Make the file durable, then give it its final name in one step."""
        try:
            os.fsync(self._handle)
            is_empty = os.fstat(self._handle).st_size == 0
            os.close(self._handle)
            if is_empty:
                raise OutputError(f"{self.final} came out empty; nothing was replaced.")
            if self.final.exists():
                self.path.chmod(stat.S_IMODE(self.final.stat().st_mode))
            self.path.replace(self.final)
            sync_folder(self.final.parent)
        except OSError as error:
            self.path.unlink(missing_ok=True)
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"{self.final} could not be put in place: {reason}.") from error

    def discard(self) -> None:
        """Leave nothing under either name."""
        self.path.unlink(missing_ok=True)
        os.close(self._handle)


def lock(handle: int) -> bool:
    """Claim the file for this process; Windows keeps second writers out by itself."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make the rename itself durable; Windows has no such call."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
