"""What everybody else holds of a store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from eastwest.store.parts import Part
from eastwest.store.questions import Question
from eastwest.store.statement import Statement


@dataclass(frozen=True, slots=True)
class Status:
    """Whether the engine answers right now, and how often it had to be started again."""

    ready: bool
    engine: str
    restarts: int = 0
    reason: str | None = None


class Store(Protocol):
    """Keeps parts and answers questions. Every method may be called from any thread and raises StoreError."""

    def ask(self, question: Question) -> pa.Table:
        """The answer in the columns that the question's docstring names."""

    def insert(self, part: Part) -> None:
        """Return once the part is durable. The same token again changes nothing."""

    def status(self) -> Status:
        """Cheap; never blocks on the engine."""


class Engine(Protocol):
    """Runs statements. The seam between one SQL code base and where it runs."""

    def query(self, statement: Statement) -> pa.Table:
        """Rows of a SELECT."""

    def command(self, statement: Statement) -> None:
        """A statement without rows."""

    def insert(self, part: Part) -> None:
        """One insert into one partition, remembered by its token."""

    def status(self) -> Status:
        """See Store.status."""

    def start(self) -> None:
        """Return when statements can run."""

    def stop(self) -> None:
        """Let running statements end, then close."""
