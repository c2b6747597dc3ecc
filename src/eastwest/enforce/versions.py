"""Plan versions: they grow with every change of any plan and are never used twice, across restarts of the server, too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

FILE: Final = "plan-versions"
RESERVED: Final = 10_000
"""How many are taken from the file at once; a restart skips those that were not used."""


class Versions:
    """Hands out versions from 1 up. One owner at a time (the data directory's lock); not safe for several threads."""

    def __init__(self, data: Path) -> None:
        """Raises ValueError for a file that holds no number, OSError."""
        self._path = data / FILE
        self._next = self._limit = self._read() + 1

    def next(self) -> int:
        """A version that was never handed out. Raises OSError when it cannot be reserved on disk."""
        if self._next >= self._limit:
            self._reserve(self._next + RESERVED)
        self._next += 1
        return self._next - 1

    def _read(self) -> int:
        """The last version that may have been handed out."""
        try:
            text = self._path.read_text().strip()
        except FileNotFoundError:
            return 0
        if not text.isdecimal():
            raise ValueError(
                f"{self._path}: expected a number, found {text[:40]!r}; write one above every plan's version"
            )
        return int(text)

    def _reserve(self, limit: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{FILE}.new")
        with draft.open("w") as file:
            file.write(f"{limit - 1}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        self._limit = limit
