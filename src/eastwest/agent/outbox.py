"""Windows on their way to the server: a bounded buffer in memory that says what it threw away. No I/O.

The head is the window being sent: it has its number and keeps it until the server has answered for good. When room is
needed the oldest window that was never tried goes, so numbers have no gaps; what goes is declared in the next header.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import Final

from eastwest.model.batch import Amount, BatchHeader

DEFAULT_LIMIT_BYTES: Final = 8 << 20
BUFFER_FULL: Final = "buffer_full"


@dataclass(slots=True)
class Parcel:
    """One window: its header without number, and its encoded records."""

    header: BatchHeader
    records: bytes
    recorded: Amount
    tried: bool = False


class Outbox:
    """Thread-safe: `_changed` guards everything and is notified of each new parcel."""

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self._changed = threading.Condition()
        self._parcels: deque[Parcel] = deque()
        self._bytes = 0
        self._seq = 0
        self._lost: dict[str, Amount] = {}
        self._lost_windows: list[tuple[int, int]] = []
        self.lost_bytes: Counter[str] = Counter()  # recorded bytes that will never be sent, by cause, since start

    def put(self, header: BatchHeader, records: bytes, recorded: Amount) -> None:
        """Queue one window; older ones that were never tried make room for it."""
        with self._changed:
            self._parcels.append(Parcel(header, records, recorded))
            self._bytes += len(records)
            while self._bytes > self.limit_bytes and self._make_room():
                pass
            self._changed.notify_all()

    def head(self, timeout_s: float) -> Parcel | None:
        """The parcel to send now, with its number and all declared losses; None: nothing came in time."""
        with self._changed:
            if not self._parcels and not self._changed.wait_for(lambda: bool(self._parcels), timeout_s):
                return None
            parcel = self._parcels[0]
            if not parcel.tried:
                parcel.tried = True
                parcel.header = replace(
                    parcel.header,
                    seq=self._seq,
                    shipping_lost=self._lost,
                    shipping_lost_windows=tuple(self._lost_windows),
                )
                self._seq += 1
                self._lost, self._lost_windows = {}, []
            return parcel

    def done(self, parcel: Parcel, lost: str | None = None) -> None:
        """The head is answered: taken, or (with a cause) never to be. What a lost one declared is declared again."""
        with self._changed:
            head = self._parcels.popleft()
            assert head is parcel, "only the head is ever sent"
            self._bytes -= len(parcel.records)
            if lost is not None:
                self._declare(parcel, lost)
                for cause, amount in parcel.header.shipping_lost.items():
                    self._lost[cause] = _sum(self._lost.get(cause), amount)
                self._lost_windows[:0] = parcel.header.shipping_lost_windows

    @property
    def bytes(self) -> int:
        with self._changed:
            return self._bytes

    def __len__(self) -> int:
        with self._changed:
            return len(self._parcels)

    def _make_room(self) -> bool:
        for i, parcel in enumerate(self._parcels):
            if not parcel.tried and i < len(self._parcels) - 1:
                del self._parcels[i]
                self._bytes -= len(parcel.records)
                self._declare(parcel, BUFFER_FULL)
                return True
        return False

    def _declare(self, parcel: Parcel, cause: str) -> None:
        self._lost[cause] = _sum(self._lost.get(cause), parcel.recorded)
        self.lost_bytes[cause] += parcel.recorded.bytes
        window = (parcel.header.window_start_ns, parcel.header.window_end_ns)
        if self._lost_windows and self._lost_windows[-1][1] == window[0]:
            window = (self._lost_windows.pop()[0], window[1])
        self._lost_windows.append(window)


def _sum(a: Amount | None, b: Amount) -> Amount:
    return b if a is None else Amount(a.bytes + b.bytes, a.packets + b.packets)
