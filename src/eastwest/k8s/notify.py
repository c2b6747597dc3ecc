"""Wakes whoever waits for a file to change (inotify(7)), so that a source is asked at once and not every few milliseconds."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE_SELF = 0x2, 0x80, 0x100, 0x400
_WANTED: Final = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE_SELF
_EVENT: Final = struct.Struct("iIII")
_libc: Final = ctypes.CDLL(None, use_errno=True)


class FileChanges:
    """Waits for any of some files, which need not exist yet; their folders are watched as soon as those do.

    Use from one thread; `wake` may be called from any.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        """Raises OSError when the kernel gives no inotify instance."""
        self._wanted = {path.absolute() for path in paths}
        self._folders: dict[int, Path] = {}
        self._fd = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1 (see fs.inotify.max_user_instances)")
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watch()

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._wake)

    def wake(self) -> None:
        """End a wait."""
        os.eventfd_write(self._wake, 1)

    def wait(self, timeout_s: float) -> bool:
        """Whether one of the files may have changed; False after the time or a `wake`."""
        self._watch()
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(timeout_s * 1000)}
        if self._wake in ready:
            os.eventfd_read(self._wake)
        return self._fd in ready and self._read()

    def _watch(self) -> None:
        """Folders that are not watched yet and exist now."""
        for folder in {path.parent for path in self._wanted} - set(self._folders.values()):
            number = _libc.inotify_add_watch(self._fd, os.fsencode(folder), _WANTED)
            if number >= 0:
                self._folders[number] = folder

    def _read(self) -> bool:
        """Take what there is; whether a wanted file is among it."""
        found = False
        raw = os.read(self._fd, 1 << 16)
        at = 0
        while at < len(raw):
            number, mask, _, length = _EVENT.unpack_from(raw, at)
            name = raw[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
            at += _EVENT.size + length
            folder = self._folders.get(number)
            if mask & _IN_DELETE_SELF or folder is None:
                self._folders.pop(number, None)
                found = True
            elif folder / os.fsdecode(name) in self._wanted:
                found = True
        return found
