"""The store over any engine that speaks ClickHouse SQL: embedded or a user's own cluster."""

from __future__ import annotations

import time
from collections.abc import Callable

import pyarrow as pa

from eastwest.store.answers import doubts, statement
from eastwest.store.ddl import HOUR_NS, Keeping, migrations, statements
from eastwest.store.parts import Part
from eastwest.store.protocol import Engine, Status
from eastwest.store.questions import Costs, Edges, Flows, History, Question, Talkers, Totals
from eastwest.store.source import Scope
from eastwest.store.statement import Statement


class ClickHouseStore:
    """A Store: compiles questions, keeps the tables as the schema says."""

    def __init__(self, engine: Engine, keeping: Keeping, clock: Callable[[], int] = time.time_ns) -> None:
        self._engine = engine
        self._keeping = keeping
        self._clock = clock

    def start(self) -> None:
        """Start the engine and bring its tables up to date."""
        self._engine.start()
        for sql in (*statements(self._keeping), *migrations(self._keeping)):
            self._engine.command(Statement(sql))

    def stop(self) -> None:
        """Stop the engine."""
        self._engine.stop()

    def ask(self, question: Question) -> pa.Table:
        """See Store."""
        scope = Scope(self._records_from_ns())
        if isinstance(question, Flows | Edges | Talkers | Totals | History | Costs):
            (found,) = self._engine.query(doubts(question.range, scope)).to_pylist()
            scope = Scope(
                scope.records_from_ns, **{name: bool(found[name]) for name in ("unsure", "unnamed", "hosted")}
            )
        return self._engine.query(statement(question, scope))

    def insert(self, part: Part) -> None:
        """See Store."""
        self._engine.insert(part)

    def status(self) -> Status:
        """See Store."""
        return self._engine.status()

    def _records_from_ns(self) -> int | None:
        """Before this, whole hour partitions of single records may be gone."""
        if self._keeping.flows_s is None:
            return None
        return self._clock() - self._keeping.flows_s * 1_000_000_000 + HOUR_NS
