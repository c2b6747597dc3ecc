"""A connection kept open inside the lab, as tests and the conformance runner hold it: alive or cut, and its longest stall."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class HeldReport:
    """`echoed_sent_ns`: when (CLOCK_MONOTONIC) the last message that came back had been sent; 0: none ever did.

    longest_stall_s: between two echoes, the present wait included. failure: what ended it, None while it goes on.
    """

    opened: bool
    failure: str | None
    echoes: int
    echoed_sent_ns: int
    longest_stall_s: float


@dataclass(frozen=True, slots=True)
class Held:
    """A connection that `Lab.hold` keeps open: a message and its echo every `interval_s`."""

    ask: Callable[..., Any]  # `Lab.call`
    number: int

    def report(self) -> HeldReport:
        """Raises LabError when it is gone."""
        return HeldReport(**self.ask("held", number=self.number))

    def alive(self, within_s: float = 1.5) -> bool:
        """Whether a message sent after this call comes back in time."""
        now, deadline = time.monotonic_ns(), time.monotonic() + within_s
        while True:
            report = self.report()
            if report.echoed_sent_ns > now:
                return True
            if report.failure is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.02)

    def end(self) -> None:
        self.ask("let_go", number=self.number)
