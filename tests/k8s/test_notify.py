"""Waiting for a file to change instead of asking again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eastwest.k8s.notify import FileChanges

SOON_S = 5.0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "lab" / "watch.jsonl"


@pytest.fixture
def changes(log: Path) -> Iterator[FileChanges]:
    found = FileChanges([log])
    yield found
    found.close()


def test_a_file_that_appears_grows_and_is_replaced(log: Path, changes: FileChanges) -> None:
    assert not changes.wait(0)
    log.parent.mkdir()
    assert not changes.wait(0), "the folder is watched from here on"
    log.write_text("one\n")
    assert changes.wait(SOON_S)
    with log.open("a") as file:
        file.write("two\n")
    assert changes.wait(SOON_S)
    other = log.with_name("new")
    other.write_text("three\n")
    assert not changes.wait(0), "another file of the folder"
    other.replace(log)
    assert changes.wait(SOON_S)


def test_a_folder_that_went_away_and_came_back(log: Path, changes: FileChanges) -> None:
    log.parent.mkdir()
    changes.wait(0)
    log.parent.rmdir()
    assert changes.wait(SOON_S)
    log.parent.mkdir()
    changes.wait(0)
    log.write_text("one\n")
    assert changes.wait(SOON_S)


def test_a_wait_can_be_ended(log: Path, changes: FileChanges) -> None:
    log.parent.mkdir()
    threading.Timer(0.02, changes.wake).start()
    began = time.monotonic()
    assert not changes.wait(SOON_S)
    assert time.monotonic() - began < SOON_S
