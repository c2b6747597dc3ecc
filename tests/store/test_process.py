"""The store's own process: alone in its directory, started again when it dies, gone with its server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from api.running import eventually
from eastwest.store.clickhouse import ClickHouseStore
from eastwest.store.embedded import EmbeddedEngine
from eastwest.store.errors import StoreLockedError, StoreUnavailableError
from eastwest.store.lock import DirectoryLock
from eastwest.store.parts import cut
from eastwest.store.questions import Extent, KnownBatches, Range
from eastwest.store.source import ROLLUP_FROM_NS, pieces
from eastwest.store.statement import Statement
from store.factories_flows import receipt

Open = Callable[[], tuple[ClickHouseStore, EmbeddedEngine]]
M = 60_000_000_000


def test_it_is_started_again_and_remembers(open_store: Open) -> None:
    store, engine = open_store()
    (part,) = cut("b", _no_flows(), [receipt()])
    store.insert(part)
    first = engine.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert store.ask(KnownBatches()).num_rows == 1  # waits for the new process
    assert engine.pid != first
    assert engine.status().restarts == 1
    store.insert(part)  # the token outlives the process
    assert store.ask(KnownBatches()).num_rows == 1


def test_it_ends_with_its_server(open_store: Open) -> None:
    _, engine = open_store()
    pid = engine.pid
    engine.stop()
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(StoreUnavailableError, match="stopped"):
        engine.query(Statement("SELECT 1"))


def test_its_memory_is_bounded(open_store: Open) -> None:
    _, engine = open_store()
    sql = "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'"
    assert engine.query(Statement(sql)).to_pylist() == [{"value": str(700 << 20)}]


def test_no_server_process_ever_imports_the_engine() -> None:
    code = "import sys; import eastwest.cli._assembly; print([m for m in sys.modules if m.split('.')[0] in ('chdb', 'clickhouse_connect')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_the_lock_names_its_owner(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path / "lock", "eastwest server"), DirectoryLock(tmp_path / "lock", "another")
    first.acquire()
    with pytest.raises(StoreLockedError, match=rf"in use by eastwest server \(pid {os.getpid()}\)"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_an_empty_store_has_an_extent(open_store: Open) -> None:
    store, _ = open_store()
    eventually("an answer", lambda: store.ask(Extent()).num_rows == 1)


@pytest.mark.parametrize(
    ("start", "end", "kept_from", "records", "minutes"),
    [
        (0, 5 * M, None, [(0, 5 * M)], None),
        (0, ROLLUP_FROM_NS, None, [], (0, 10 * M)),
        (M // 2, 12 * M + 5, None, [(M // 2, M), (12 * M, 12 * M + 5)], (M, 12 * M)),
        (M // 2, 3 * M, 2 * M, [], (0, 3 * M)),  # single records are gone: whole minutes
    ],
)
def test_which_table_answers(
    start: int, end: int, kept_from: int | None, records: list[tuple[int, int]], minutes: tuple[int, int] | None
) -> None:
    expected = [Range(*r) for r in records], Range(*minutes) if minutes else None
    assert pieces(Range(start, end), kept_from) == expected


def _no_flows() -> pa.Table:
    from eastwest.store.parts import RECORDS

    return RECORDS.empty_table()
