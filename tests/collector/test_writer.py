"""How long a block gathers: a moment in calm times, next to nothing for agents that have a backlog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.factories_batches import recent
from eastwest.collector.accept import Accepted
from eastwest.collector.counts import Counts
from eastwest.collector.enrich import enrich
from eastwest.collector.journal import Journal
from eastwest.collector.writer import BusyError, Writer
from eastwest.k8s.inventory import Inventory
from eastwest.runtime.topic import Topic
from eastwest.store.clickhouse import ClickHouseStore
from eastwest.store.ddl import Keeping
from eastwest.store.embedded import EmbeddedEngine
from eastwest.wire.decode import AGENT_SCHEMA
from store.factories_flows import SECOND, header

FOR_EVER_S = 600.0
SOON_S = 30.0


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    store = ClickHouseStore(
        EmbeddedEngine(tmp_path / "store", readers=1, memory_bytes=700 << 20), Keeping(None, None, None)
    )
    store.start()
    nobody = Inventory()
    writer = Writer(
        store,
        Journal(tmp_path / "journal"),
        lambda table: enrich(table, nobody),
        Topic(),
        Counts(),
        gather_s=FOR_EVER_S,
    )
    writer.start()
    yield writer
    writer.stop()
    store.stop()


def _sent(seq: int, node: str, waited_s: int) -> Accepted:
    start = recent(60)
    end = start + 5 * SECOND
    made = header(seq, at=start, node=node, window_end_ns=end, sent_at_ns=end + waited_s * SECOND)
    return Accepted(made, AGENT_SCHEMA.empty_table(), end)


def test_an_agent_with_a_backlog_does_not_wait_for_company(writer: Writer) -> None:
    """Nor does who shares its block; the next window of an agent without one gathers as ever, until the end."""
    in_time = writer.submit(_sent(0, "node-a", waited_s=0))
    for seq in range(3):
        writer.submit(_sent(seq, "node-b", waited_s=20)).result(SOON_S)
    in_time.result(SOON_S)
    again = writer.submit(_sent(1, "node-a", waited_s=0))
    with pytest.raises(TimeoutError):
        again.result(1.0)
    writer.stop()
    again.result(SOON_S)


def test_a_disk_that_refuses_blocks_is_said_and_nothing_is_taken_in(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agents are told to send again; once there is room their windows come in, once."""
    monkeypatch.setattr(writer, "_gather_s", 0.0)
    (tmp_path / "journal").rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(BusyError, match="journal: No such file or directory"):
            writer.submit(_sent(0, "node-a", waited_s=20)).result(SOON_S)
    assert "cannot write to" in (writer.stalled or "")
    assert writer.pending_rows == 0
    (tmp_path / "away").rename(tmp_path / "journal")
    for _ in range(2):
        writer.submit(_sent(0, "node-a", waited_s=20)).result(SOON_S)
    assert writer.stalled is None
    assert writer._counts.snapshot()[0]["batches"] == 1
