"""Blocks on disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from eastwest.collector.journal import Journal, JournalError
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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "eastwest-test", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.root
def test_a_full_disk_is_said_and_left_as_it_was(small_disk: Path) -> None:
    journal = Journal(small_disk / "journal")
    journal.open()
    flows = table(record(pod("src", "a", "b", ip="10.0.0.1"), pod("dst", "a", "c", ip="10.0.0.2")))
    parts = cut("block", flows, [receipt(0)])
    first = journal.write("0001", parts)
    filler = small_disk / "filler"
    free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    filler.write_bytes(bytes(free - 4096))  # room for a part of a block
    for _ in range(3):
        with pytest.raises(JournalError, match="journal: No space left on device; free some space there"):
            journal.write("0002", parts)
    assert list((small_disk / "journal").iterdir()) == [first]
    filler.unlink()
    assert journal.read(journal.write("0002", parts)) == parts


@pytest.mark.root
def test_a_disk_that_became_read_only_is_said(small_disk: Path) -> None:
    journal = Journal(small_disk / "journal")
    journal.open()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(JournalError, match="Read-only file system; mount it writable"):
        journal.write("0001", [])
