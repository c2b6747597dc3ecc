"""Blocks on disk."""

from __future__ import annotations

from pathlib import Path

from eastwest.collector.journal import Journal
from eastwest.store.parts import cut
from store.factories_flows import pod, receipt, record, table


def test_a_block_comes_back_as_it_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.open()
    flows = table(record(pod("src", "a", "b", ip="10.0.0.1"), pod("dst", "a", "c", ip="10.0.0.2")))
    parts = cut("block", flows, [receipt(0), receipt(1)])
    path = journal.write("0002", parts)
    first = journal.write("0001", parts[:1])
    assert journal.pending() == [first, path]
    assert journal.read(path) == parts
    journal.remove(path)
    journal.remove(first)
    assert journal.pending() == []


def test_drafts_of_a_crash_are_swept_away(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "x.draft").write_bytes(b"half")
    Journal(tmp_path / "journal").open()
    assert list((tmp_path / "journal").iterdir()) == []
