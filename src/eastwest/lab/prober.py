"""Many probes at once from this process's network namespace: connect, or send and wait for an echo.

Cells are `(address, port, protocol)`; the answer for each is "reachable", "refused" or "timeout", in the same order.
SCTP is reachable when the four-way handshake over raw IP is complete; ICMP when the echo request is answered.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Sequence

from eastwest.lab import attempt
from eastwest.lab.attempt import PROTOCOLS, RESEND_SECONDS, Attempt

Cell = Sequence[str | int]


class _Probe:
    __slots__ = ("attempt", "deadline", "index", "resend")

    def __init__(self, index: int, made: Attempt, deadline: float, resend: float) -> None:
        self.index = index
        self.attempt = made
        self.deadline = deadline
        self.resend = resend


def run(cells: Sequence[Cell], timeout: float, parallel: int = 256, source: str | None = None) -> list[str]:
    """Probe every cell, at most `parallel` at a time, each for `timeout` seconds, from `source` or any own address.

    Raises ValueError on a bad cell.
    """
    for _, _, protocol in cells:
        if protocol not in PROTOCOLS:
            raise ValueError(f"cannot probe {protocol!r}; use {', '.join(PROTOCOLS)}")
    results = [""] * len(cells)
    live: dict[int, _Probe] = {}
    upcoming = 0
    with selectors.DefaultSelector() as selector:
        while upcoming < len(cells) or live:
            while upcoming < len(cells) and len(live) < parallel:
                _start(upcoming, cells[upcoming], source, timeout, selector, live, results)
                upcoming += 1
            now = time.monotonic()
            wait = min((min(p.deadline, p.resend) for p in live.values()), default=now) - now
            for key, _ in selector.select(max(0.0, wait) if live else 0):
                probe: _Probe = key.data
                outcome = probe.attempt.outcome()
                if outcome is not None:
                    _finish(probe, outcome, selector, live, results)
            _expire(now, selector, live, results)  # of before the look: who was late to look misses no answer
    return results


def _start(
    index: int, cell: Cell, source: str | None, timeout: float,
    selector: selectors.BaseSelector, live: dict[int, _Probe], results: list[str],
) -> None:  # fmt: skip
    try:
        made = attempt.start(str(cell[0]), int(cell[1]), str(cell[2]), source)
    except OSError as error:
        results[index] = attempt.named(error.errno or 0)
        return
    now = time.monotonic()
    live[index] = _Probe(index, made, now + timeout, now + (RESEND_SECONDS if made.resends else timeout))
    made.send()
    selector.register(made.sock, made.events, live[index])


def _finish(
    probe: _Probe, outcome: str, selector: selectors.BaseSelector, live: dict[int, _Probe], results: list[str]
) -> None:
    results[probe.index] = outcome
    selector.unregister(probe.attempt.sock)
    probe.attempt.close()
    del live[probe.index]


def _expire(now: float, selector: selectors.BaseSelector, live: dict[int, _Probe], results: list[str]) -> None:
    for probe in list(live.values()):
        if now >= probe.deadline:
            _finish(probe, "timeout", selector, live, results)
        elif now >= probe.resend:
            probe.attempt.send()
            probe.resend = now + RESEND_SECONDS
