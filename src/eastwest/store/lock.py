"""One process at a time per data directory, and a message that names the other one."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from eastwest.store.errors import StoreLockedError

LOCKED: Final = 3
"""Exit code of a store process that found its directory in use."""


class DirectoryLock:
    """A file lock that dies with its process. Guards everything in `directory`."""

    def __init__(self, path: Path, what: str) -> None:
        self._path = path
        self._what = what
        self._fd: int | None = None

    def acquire(self, timeout_s: float = 0.0) -> None:
        """Take the lock, waiting up to `timeout_s` for a dying owner. Raises StoreLockedError naming the owner."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    owner = os.pread(fd, 200, 0).decode(errors="replace").strip() or "another process"
                    os.close(fd)
                    raise StoreLockedError(
                        f"{self._path.parent} is in use by {owner}; stop it, or choose another directory with --data"
                    ) from None
                time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{self._what} (pid {os.getpid()})\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give it back; harmless when it was never taken."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
