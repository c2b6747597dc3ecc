"""Windows that wait for the server, on disk: they survive the agent's end and kill -9. Knows no order of sending.

A window is one file, complete or absent (written aside, then renamed), with a checksum. Its name says which span it is and
what it holds, so that a file that went bad is still declared with its amount. Nothing is synced to the disk by force: when
the machine itself crashes the last seconds may be lost, as the kernel's counters are. docs/decisions/0121.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from eastwest.model.batch import Amount, BatchHeader
from eastwest.wire.header import BatchError, from_json, to_json

DEFAULT_LIMIT_BYTES: Final = 256 << 20
_MAGIC: Final = b"EWSPOOL1"
_PREFIX: Final = struct.Struct("<8sII")  # magic, crc32 of what follows, bytes of the header's JSON
_NAME: Final = re.compile(r"(\d{12})-(\d+)-(\d+)-(\d+)-(\d+)\.window")
_LOST, _LAST = "lost.json", "last.json"

Lost = dict[str, Amount]
Windows = list[tuple[int, int]]


class SpoolError(ValueError):
    """The folder cannot be used; the text says why and what to do."""


class CorruptError(ValueError):
    """A file is not what was written."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The drain that the newest window came from: `id` and `number` are the journal's."""

    id: int
    number: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One window on disk, as its name tells."""

    order: int
    start_ns: int
    end_ns: int
    recorded: Amount
    bytes: int
    sent: BatchHeader | None = None  # once it was tried: the header it was tried with, books and all

    @property
    def name(self) -> str:
        r = self.recorded
        return f"{self.order:012}-{self.start_ns}-{self.end_ns}-{r.bytes}-{r.packets}.window"


class Spool:
    """Open from construction to `close`, and then nobody else's. Not thread-safe: the outbox's lock guards it."""

    def __init__(self, folder: Path) -> None:
        """Raises SpoolError, OSError."""
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SpoolError(
                f"windows cannot wait in {folder}: {error.strerror}; choose another with --spool DIR"
            ) from None
        self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise SpoolError(f"{folder} is in use by another agent; give each its own folder (--spool DIR)") from None
        self._lost_number = 0
        self._order = 0

    def close(self) -> None:
        os.close(self._lock)

    # --- what is there ---------------------------------------------------------------------------------------------
    def load(self) -> tuple[list[Entry], Lost, Windows]:
        """Every window in order, and what is lost and not yet declared to the server. Half-done work is finished."""
        taken, lost, windows, dropped = self._read_lost()
        for name in dropped:
            self._unlink(name)
        entries, claimed = [], False
        for path in sorted(self._folder.iterdir()):
            if path.suffix == ".tmp":
                with contextlib.suppress(OSError):  # a disk that became read-only ends nothing
                    path.unlink()
            elif (match := _NAME.fullmatch(path.name)) is not None:
                order, start, end, size, packets = map(int, match.groups())
                entry = Entry(order, start, end, Amount(size, packets), path.stat().st_size)
                sent, number = self._read_sent(entry)
                claimed |= sent is not None and number == taken and taken > 0
                entries.append(replace(entry, sent=sent))
                self._order = max(self._order, order)
        self._lost_number = taken
        if claimed:
            lost, windows = {}, []
        if claimed or dropped:
            self.declare(lost, windows)
        return entries, lost, windows

    def read(self, entry: Entry) -> tuple[BatchHeader, bytes]:
        """A window's header and records. Raises CorruptError."""
        try:
            header, records, _ = self._parse(entry.name)
        except (OSError, ValueError) as error:
            raise CorruptError(f"{self._folder / entry.name}: {error}") from None
        return header, records

    def handed_over(self) -> HandedOver | None:
        """The newest drain that is known to be in safe hands."""
        found = []
        try:
            last = json.loads((self._folder / _LAST).read_bytes())
            found.append(HandedOver(int(last["id"]), int(last["number"]), int(last["end_ns"])))
        except (OSError, ValueError, KeyError, TypeError):
            pass  # never written, or by a machine that crashed: the windows themselves tell, too
        for path in sorted(self._folder.glob("*.window"))[-1:]:
            try:
                _, _, newest = self._parse(path.name)
            except (OSError, ValueError):
                continue
            found += [newest] if newest is not None else []
        return max(found, key=lambda h: h.end_ns, default=None)

    # --- changes ---------------------------------------------------------------------------------------------------
    def store(self, header: BatchHeader, records: bytes, recorded: Amount, handed_over: HandedOver | None) -> Entry:
        """Keep one window. Raises OSError: the disk is full, or broken."""
        drain = None if handed_over is None else [handed_over.id, handed_over.number, handed_over.end_ns]
        text = json.dumps({"header": to_json(header).decode(), "drain": drain}).encode()
        raw = text + records
        entry = Entry(self._order + 1, header.window_start_ns, header.window_end_ns, recorded, _PREFIX.size + len(raw))
        self._write(entry.name, _PREFIX.pack(_MAGIC, zlib.crc32(raw), len(text)) + raw)
        self._order += 1
        if handed_over is not None:
            last = {"id": handed_over.id, "number": handed_over.number, "end_ns": handed_over.end_ns}
            self._write(_LAST, json.dumps(last).encode())
        return entry

    def tried(self, entry: Entry, header: BatchHeader) -> None:
        """Remember the header before the first attempt: the window keeps its number for ever. Raises OSError."""
        text = json.dumps({"header": to_json(header).decode(), "lost": self._lost_number}).encode()
        self._write(f"{entry.order:012}.sent", struct.pack("<I", zlib.crc32(text)) + text)

    def remove(self, entry: Entry) -> None:
        """The server has it."""
        self._unlink(entry.name)

    def declare(self, lost: Lost, windows: Iterable[tuple[int, int]], dropped: Iterable[Entry] = ()) -> None:
        """What is lost and not yet in a header that was tried; with it go `dropped`. Raises OSError."""
        names = [e.name for e in dropped]
        self._lost_number += 1
        amounts = {cause: [a.bytes, a.packets] for cause, a in lost.items()}
        value = {"number": self._lost_number, "lost": amounts, "windows": list(windows), "dropped": names}
        self._write(_LOST, json.dumps(value).encode())
        for name in names:
            self._unlink(name)

    # --- files -----------------------------------------------------------------------------------------------------
    def _write(self, name: str, raw: bytes) -> None:
        aside = self._folder / f"{name}.tmp"
        try:
            aside.write_bytes(raw)
            aside.rename(self._folder / name)
        except OSError:
            aside.unlink(missing_ok=True)
            raise

    def _unlink(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)
        (self._folder / f"{name[:12]}.sent").unlink(missing_ok=True)

    def _parse(self, name: str) -> tuple[BatchHeader, bytes, HandedOver | None]:
        raw = (self._folder / name).read_bytes()
        if len(raw) < _PREFIX.size:
            raise CorruptError("torn")
        magic, crc, length = _PREFIX.unpack_from(raw)
        body = memoryview(raw)[_PREFIX.size :]
        if magic != _MAGIC or zlib.crc32(body) != crc:
            raise CorruptError("its checksum is wrong")
        value: Mapping[str, Any] = json.loads(bytes(body[:length]))
        drain = value["drain"]
        return from_json(value["header"].encode()), bytes(body[length:]), None if drain is None else HandedOver(*drain)

    def _read_sent(self, entry: Entry) -> tuple[BatchHeader | None, int]:
        try:
            raw = (self._folder / f"{entry.order:012}.sent").read_bytes()
            if len(raw) < 4 or zlib.crc32(raw[4:]) != struct.unpack_from("<I", raw)[0]:
                return None, 0
            value = json.loads(raw[4:])
            return from_json(value["header"].encode()), int(value["lost"])
        except (OSError, BatchError, ValueError, KeyError):
            return None, 0

    def _read_lost(self) -> tuple[int, Lost, Windows, list[str]]:
        try:
            value = json.loads((self._folder / _LOST).read_bytes())
            lost = {str(cause): Amount(int(a[0]), int(a[1])) for cause, a in value["lost"].items()}
            windows = [(int(w[0]), int(w[1])) for w in value["windows"]]
            names = [str(n) for n in value["dropped"] if _NAME.fullmatch(str(n))]
            return int(value["number"]), lost, windows, names
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            return 0, {}, [], []
