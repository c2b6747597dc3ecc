"""What the collector counts about itself; /metrics and /healthz read it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

CLOCK_STEP_NS: Final = 60_000_000_000


@dataclass
class Counts:
    """Totals since the server started. `_lock` guards all of them."""

    refused: Counter[str] = field(default_factory=Counter)  # cause -> batches
    totals: Counter[str] = field(default_factory=Counter)
    last_batch_ns: int | None = None
    newest_ns: int = 0  # the latest that the server's own clock is known to have shown, also before this start
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
            self.newest_ns = max(self.newest_ns, at_ns)

    def seen(self, at_ns: int) -> None:
        """The server's own clock has shown this."""
        with self._lock:
            self.newest_ns = max(self.newest_ns, at_ns)

    def clock_trouble(self, now_ns: int) -> str | None:
        """In words, when the server's clock has gone back by more than CLOCK_STEP_NS."""
        behind = self.newest_ns - now_ns
        if behind <= CLOCK_STEP_NS:
            return None
        return f"the server's clock went back by {behind / 1e9:.0f} s: set it right"

    def snapshot(self) -> tuple[dict[str, int], dict[str, int]]:
        """(totals, refused by cause)."""
        with self._lock:
            return dict(self.totals), dict(self.refused)
