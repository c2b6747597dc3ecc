"""Blocks on disk between "taken in" and "in the store", so that a crash repeats exactly the same inserts.

One file per block, named in order: for each part a JSON head (table, token) and its rows as an Arrow stream. A file under
its final name is whole and durable; drafts of a crash are swept away.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa

from eastwest.store.parts import Part

_LENGTHS: Final = struct.Struct("<IQ")
_SUFFIX: Final = ".block"
_DRAFT: Final = ".draft"


class JournalError(Exception):
    """A block could not be written; nothing of it is there. The text says where, why and what to do."""


class Journal:
    """A directory of blocks. One process at a time: the data directory's lock guards it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self) -> None:
        """Make the directory, and sweep drafts."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for draft in self._directory.glob(f"*{_DRAFT}"):
            draft.unlink()
        _sync(self._directory.parent)

    def last_written_ns(self) -> int:
        """When a block last came or went, by the clock of then; 0: never. Before `open`."""
        try:
            return self._directory.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def write(self, block: str, parts: Iterable[Part]) -> Path:
        """Return when the block is durable. Raises JournalError: a full disk is as it was before."""
        draft = self._directory / f"{block}{_DRAFT}"
        path = draft.with_suffix(_SUFFIX)
        try:
            with draft.open("wb") as file:
                for part in parts:
                    _write_part(file, part)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(path)
            _sync(self._directory)
        except OSError as error:
            for left in (draft, path):  # whoever sent it is told that it was not taken in
                with contextlib.suppress(OSError):
                    left.unlink()
            raise JournalError(f"cannot write to {self._directory}: {_why(error)}") from error
        return path

    def pending(self) -> list[Path]:
        """Blocks that may not be whole in the store, oldest first."""
        return sorted(self._directory.glob(f"*{_SUFFIX}"))

    def read(self, path: Path) -> list[Part]:
        """The parts of a block, as they were written."""
        with path.open("rb") as file:
            return list(_read_parts(file))

    def remove(self, path: Path) -> None:
        """Forget a block that is in the store. A crash before the directory is synced only repeats it."""
        path.unlink()


def _why(error: OSError) -> str:
    words = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{words}; free some space there, agents keep their windows and send them again"
    if error.errno == errno.EROFS:
        return f"{words}; mount it writable, agents keep their windows and send them again"
    return words


def _write_part(file: BinaryIO, part: Part) -> None:
    head = json.dumps({"table": part.table, "token": part.token}).encode()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.rows.schema) as writer:
        writer.write_table(part.rows)
    rows = sink.getvalue()
    file.write(_LENGTHS.pack(len(head), rows.size))
    file.write(head)
    file.write(memoryview(rows))


def _read_parts(file: BinaryIO) -> Iterator[Part]:
    while lengths := file.read(_LENGTHS.size):
        head_length, rows_length = _LENGTHS.unpack(lengths)
        head = json.loads(file.read(head_length))
        rows = pa.ipc.open_stream(pa.py_buffer(file.read(rows_length))).read_all()
        yield Part(head["table"], head["token"], rows)


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
