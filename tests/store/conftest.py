"""One embedded store for the tests that only read and add, and fresh ones for those that break things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eastwest.store.clickhouse import ClickHouseStore
from eastwest.store.ddl import Keeping
from eastwest.store.embedded import EmbeddedEngine
from eastwest.store.statement import Statement

FOREVER = Keeping(None, None, None)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(tmp_path_factory.mktemp("store"), readers=2, memory_bytes=700 << 20)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def store(engine: EmbeddedEngine) -> ClickHouseStore:
    """Empty tables."""
    for name in ("flows", "edges_1m", "batches"):
        engine.command(Statement(f"DROP TABLE IF EXISTS {name} SYNC"))
    store = ClickHouseStore(_Started(engine), FOREVER)
    store.start()
    return store


class _Started:
    """An engine that is already running and stays so."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self.query, self.command, self.insert, self.status = engine.query, engine.command, engine.insert, engine.status

    def start(self) -> None: ...

    def stop(self) -> None: ...


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[[], tuple[ClickHouseStore, EmbeddedEngine]]]:
    """Start a store in a directory of its own."""
    engines: list[EmbeddedEngine] = []

    def start() -> tuple[ClickHouseStore, EmbeddedEngine]:
        engine = EmbeddedEngine(tmp_path / "store", readers=2, memory_bytes=700 << 20)
        engines.append(engine)
        store = ClickHouseStore(engine, FOREVER)
        store.start()
        return store, engine

    yield start
    for engine in engines:
        engine.stop()
