"""What the collector counts about itself; /metrics and /healthz read it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counts:
    """Totals since the server started. `_lock` guards all of them."""

    refused: Counter[str] = field(default_factory=Counter)  # cause -> batches
    totals: Counter[str] = field(default_factory=Counter)
    last_batch_ns: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **amounts: int) -> None:
        """Add to named totals."""
        with self._lock:
            self.totals.update(amounts)

    def refuse(self, cause: str) -> None:
        """One batch was not taken in."""
        with self._lock:
            self.refused[cause] += 1

    def received(self, at_ns: int) -> None:
        """One batch became durable."""
        with self._lock:
            self.last_batch_ns = max(self.last_batch_ns or 0, at_ns)

    def snapshot(self) -> tuple[dict[str, int], dict[str, int]]:
        """(totals, refused by cause)."""
        with self._lock:
            return dict(self.totals), dict(self.refused)
