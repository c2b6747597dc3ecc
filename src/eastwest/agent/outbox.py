"""Windows on their way to the server: a bounded buffer, in memory or on disk, that says what it threw away.

The oldest are the ones being sent, as many as fit a request: each has its number and keeps it until the server has answered
for it. When room is needed the oldest window that was never tried goes, so numbers have no gaps; what goes is declared in
the next header.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from eastwest.agent import spool as disk
from eastwest.agent.spool import CorruptError, Entry, HandedOver, Spool, SpoolError
from eastwest.model.batch import Amount, BatchHeader

log = logging.getLogger("eastwest.agent")
DEFAULT_LIMIT_BYTES: Final = 8 << 20
REQUEST_BYTES: Final = 4 << 20
"""Of windows that share a request, before it is compressed. A larger window goes alone."""
T = TypeVar("T")
Encoded = bytes
BUFFER_FULL, SPOOL_FULL, SPOOL_CORRUPT = "buffer_full", "spool_full", "spool_corrupt"


@dataclass(slots=True)
class Parcel:
    """One window: its header without number, and its encoded records unless they are on disk."""

    header: BatchHeader | None
    records: bytes
    recorded: Amount
    span_ns: tuple[int, int]
    size: int
    tried: bool = False
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Shipment:
    """One window, ready to be sent."""

    header: BatchHeader
    records: bytes
    parcel: Parcel


class Outbox:
    """Thread-safe: `_changed` guards everything and is notified of each new parcel."""

    def __init__(
        self,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        spool: Spool | None = None,
        spool_limit_bytes: int = disk.DEFAULT_LIMIT_BYTES,
    ) -> None:
        """With `spool` windows wait on disk, and `limit_bytes` bounds only those that the disk did not take."""
        self.limit_bytes = limit_bytes if spool is None else spool_limit_bytes
        self._memory_limit_bytes = limit_bytes
        self._spool = spool
        self._changed = threading.Condition()
        self._parcels: deque[Parcel] = deque()
        self._bytes = self._memory_bytes = 0
        self._seq = 0
        self._lost: dict[str, Amount] = {}
        self._lost_windows: list[tuple[int, int]] = []
        self._remember: Callable[[Amount, int, int], None] = lambda *_: None
        self._shipments: list[Shipment] = []  # the oldest, from when they were asked for until they are answered
        self._boot_id = ""
        self._disk_refused = ""
        self.lost_bytes: Counter[str] = Counter()  # recorded bytes that will never be sent, by cause, since start

    def resume(self, cluster: str, node: str) -> int:
        """Take up what a predecessor left on disk; how many windows. Raises SpoolError when it is another node's."""
        if self._spool is None:
            return 0
        with self._changed:
            entries, self._lost, self._lost_windows = self._spool.load()
            for entry in entries:
                parcel = Parcel(
                    entry.sent,
                    b"",
                    entry.recorded,
                    (entry.start_ns, entry.end_ns),
                    entry.bytes,
                    entry.sent is not None,
                    entry,
                )
                self._append(parcel)
            for parcel in self._parcels:
                header = self._read_or_none(parcel)
                if header is not None and (header.cluster, header.node) != (cluster, node):
                    raise SpoolError(f"the spool holds windows of node {header.node} in cluster {header.cluster}")
                if header is not None:
                    break
            return len(self._parcels)

    def remember(self, waiting: Callable[[Amount, int, int], None]) -> None:
        """`waiting` is told, at each change, what would be lost with this process: amount and span."""
        self._remember = waiting

    def declare(self, cause: str, amount: Amount, window: tuple[int, int]) -> None:
        """Something was lost before it came here, recorded in `window`."""
        with self._changed:
            self._lose(cause, amount, window)
            self._note()

    def put(self, header: BatchHeader, records: Encoded, recorded: Amount, drained: HandedOver | None = None) -> None:
        """Queue one window; older ones that were never tried make room for it."""
        with self._changed:
            span = (header.window_start_ns, header.window_end_ns)
            entry = self._store(header, records, recorded, drained)
            if entry is not None:
                self._append(Parcel(None, b"", recorded, span, entry.bytes, entry=entry))
            else:
                self._append(Parcel(header, records, recorded, span, len(records)))
            self._make_room()
            self._note()
            self._changed.notify_all()

    def head(self, timeout_s: float, most: int = 1) -> list[Shipment]:
        """The windows to send now, oldest first, at most `most` of them and REQUEST_BYTES, with their numbers and all declared
        losses. Those that were asked for before and are not answered come first. Empty: nothing came in time."""
        with self._changed:
            if not self._parcels and not self._changed.wait_for(lambda: bool(self._parcels), timeout_s):
                return []
            self._take(most)
            self._note()
            return self._shipments[:most]

    def done(self, shipment: Shipment, lost: str | None = None) -> None:
        """One is answered: taken, or (with a cause) never to be. What a lost one declared is declared again."""
        with self._changed:
            parcel = shipment.parcel
            self._shipments = [s for s in self._shipments if s is not shipment]
            self._remove(next(i for i, p in enumerate(self._parcels) if p is parcel))
            if lost is not None:
                self._lose(lost, parcel.recorded, parcel.span_ns)
                for cause, amount in shipment.header.shipping_lost.items():
                    self._lost[cause] = _sum(self._lost.get(cause), amount)
                self._lost_windows[:0] = shipment.header.shipping_lost_windows
                self._drop([parcel])
            elif parcel.entry is not None and self._spool is not None:
                entry, spool = parcel.entry, self._spool
                self._on_disk(lambda: spool.remove(entry))
            self._note()

    @property
    def bytes(self) -> int:
        with self._changed:
            return self._bytes

    @property
    def complaint(self) -> str:
        """Why the disk does not take windows; empty when it does, or when there is none."""
        return self._disk_refused

    @property
    def on_disk(self) -> bool:
        return self._spool is not None

    def __len__(self) -> int:
        with self._changed:
            return len(self._parcels)

    # --- under the lock --------------------------------------------------------------------------------------------
    def _store(
        self, header: BatchHeader, records: Encoded, recorded: Amount, drained: HandedOver | None
    ) -> Entry | None:
        if self._spool is None:
            return None
        spool = self._spool
        return self._on_disk(lambda: spool.store(header, records, recorded, drained))

    def _on_disk(self, work: Callable[[], T]) -> T | None:
        """Do it, or say that the disk refused and go on: windows then wait in memory."""
        try:
            done = work()
        except OSError as error:
            if not self._disk_refused:
                log.error("the spool cannot be written, windows wait in memory: %s", error)
            self._disk_refused = str(error)
            return None
        self._disk_refused = ""
        return done

    def _read_or_none(self, parcel: Parcel) -> BatchHeader | None:
        assert self._spool is not None
        assert parcel.entry is not None
        try:
            return self._spool.read(parcel.entry)[0]
        except CorruptError:
            return None  # it will be declared when its turn comes

    def _take(self, most: int) -> None:
        """Number as many of the oldest windows as fit one request; at least one, however large it is."""
        at = len(self._shipments)  # they are the oldest
        room = min(REQUEST_BYTES, self.limit_bytes // 2) - sum(s.parcel.size for s in self._shipments)
        while at < len(self._parcels) and len(self._shipments) < most:
            parcel = self._parcels[at]
            if self._shipments and parcel.size > room:
                return
            found = self._read(at)
            if found is None:
                continue  # its file is bad: it is gone, and the next one is in its place
            self._shipments.append(Shipment(*found, parcel))
            room -= parcel.size
            at += 1

    def _read(self, at: int) -> tuple[BatchHeader, Encoded] | None:
        """A window's header, numbered, and records; None: its file is bad, it was declared lost and is gone."""
        parcel = self._parcels[at]
        header, records = parcel.header, parcel.records
        if parcel.entry is not None and self._spool is not None:
            try:
                stored, records = self._spool.read(parcel.entry)
            except CorruptError as error:
                log.error("a window is lost: %s", error)
                self._remove(at)
                self._lose(SPOOL_CORRUPT, parcel.recorded, parcel.span_ns)
                self._drop([parcel])
                return None
            header = header or stored
        assert header is not None
        if not parcel.tried:
            header = self._number(parcel, header)
        return header, records

    def _number(self, parcel: Parcel, header: BatchHeader) -> BatchHeader:
        numbered = replace(
            header,
            boot_id=self._boot_id or header.boot_id,
            seq=self._seq,
            shipping_lost=self._lost,
            shipping_lost_windows=tuple(self._lost_windows),
        )
        if parcel.entry is not None and self._spool is not None:
            entry, spool = parcel.entry, self._spool
            self._on_disk(lambda: spool.tried(entry, numbered))
        parcel.header, parcel.tried = numbered, True
        self._seq += 1
        declared = bool(self._lost or self._lost_windows)
        self._lost, self._lost_windows = {}, []
        if declared and self._spool is not None:
            spool = self._spool
            self._on_disk(lambda: spool.declare({}, []))
        return numbered

    def boot(self, boot_id: str) -> None:
        """Windows that were never tried are sent as this boot's, whoever recorded them."""
        self._boot_id = boot_id

    def _append(self, parcel: Parcel) -> None:
        self._parcels.append(parcel)
        self._bytes += parcel.size
        self._memory_bytes += 0 if parcel.entry is not None else parcel.size

    def _remove(self, at: int) -> Parcel:
        parcel = self._parcels[at]
        del self._parcels[at]
        self._bytes -= parcel.size
        self._memory_bytes -= 0 if parcel.entry is not None else parcel.size
        return parcel

    def _make_room(self) -> None:
        dropped = []
        while True:
            if self._memory_bytes > self._memory_limit_bytes:
                in_memory, cause = True, BUFFER_FULL
            elif self._spool is not None and self._bytes - self._memory_bytes > self.limit_bytes:
                in_memory, cause = False, SPOOL_FULL
            else:
                break
            at = next((i for i, p in enumerate(self._parcels) if not p.tried and (p.entry is None) == in_memory), None)
            if at is None or at == len(self._parcels) - 1:
                break
            parcel = self._remove(at)
            self._lose(cause, parcel.recorded, parcel.span_ns)
            dropped.append(parcel)
        self._drop(dropped)

    def _drop(self, parcels: list[Parcel]) -> None:
        """Their loss is declared; now the files may go."""
        if self._spool is not None and parcels:
            spool, entries = self._spool, [p.entry for p in parcels if p.entry is not None]
            self._on_disk(lambda: spool.declare(self._lost, self._lost_windows, entries))

    def _lose(self, cause: str, amount: Amount, window: tuple[int, int]) -> None:
        self._lost[cause] = _sum(self._lost.get(cause), amount)
        self.lost_bytes[cause] += amount.bytes
        if self._lost_windows and self._lost_windows[-1][1] == window[0]:
            window = (self._lost_windows.pop()[0], window[1])
        self._lost_windows.append(window)

    def _note(self) -> None:
        """Tell what would be lost with this process: windows in memory, and losses nobody has been told of."""
        held = [p for p in self._parcels if p.entry is None]
        amounts = [p.recorded for p in held]
        spans = [p.span_ns for p in held]
        if self._spool is None:
            amounts += self._lost.values()
            spans += self._lost_windows
            for p in held:
                if p.tried and p.header is not None:
                    amounts += p.header.shipping_lost.values()
                    spans += p.header.shipping_lost_windows
        total = Amount(sum(a.bytes for a in amounts), sum(a.packets for a in amounts))
        self._remember(total, min((s[0] for s in spans), default=0), max((s[1] for s in spans), default=0))


def _sum(a: Amount | None, b: Amount) -> Amount:
    return b if a is None else Amount(a.bytes + b.bytes, a.packets + b.packets)
