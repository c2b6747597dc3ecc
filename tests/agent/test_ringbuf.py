"""The reader against a ring laid out by hand: what the kernel would have written."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import numpy as np
import pytest

from eastwest.agent.ringbuf import RingBuffer

SIZE = 4096
PAGE = mmap.PAGESIZE
RECORD = np.dtype([("a", "<u8"), ("b", "<u4"), ("c", "<u4")])
STRIDE = 24
BUSY, DISCARD = 1 << 31, 1 << 30


class Ring:
    """A file in the ring's layout; the data is written to both mappings, as the kernel's double mapping shows it."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("ring")
        os.ftruncate(self.fd, 2 * PAGE + 2 * SIZE)
        self.memory = mmap.mmap(self.fd, 2 * PAGE + 2 * SIZE)
        self.produced = 0

    def put(self, payload: bytes, flags: int = 0) -> None:
        record = (
            (len(payload) | flags).to_bytes(4, "little") + bytes(4) + payload.ljust(-(-len(payload) // 8) * 8, b"\0")
        )
        for i, byte in enumerate(record):
            at = (self.produced + i) % SIZE
            self.memory[2 * PAGE + at] = self.memory[2 * PAGE + SIZE + at] = byte
        self.produced += len(record)
        self.memory[PAGE : PAGE + 8] = self.produced.to_bytes(8, "little")

    @property
    def consumed(self) -> int:
        return int.from_bytes(self.memory[:8], "little")


@pytest.fixture
def ring() -> Iterator[Ring]:
    ring = Ring()
    yield ring
    ring.memory.close()
    os.close(ring.fd)


def record(a: int) -> bytes:
    return np.array([(a, a + 1, a + 2)], RECORD).tobytes()


def test_records_of_one_size_come_out_in_order_over_many_rounds(ring: Ring) -> None:
    reader = RingBuffer(ring.fd, SIZE)
    expected, got = list(range(1000)), []
    for a in expected:
        ring.put(record(a))
        if a % 150 == 149:
            got += reader.read_fixed(RECORD)["a"].tolist()
    got += reader.read_fixed(RECORD)["a"].tolist()
    assert got == expected
    assert ring.consumed == ring.produced == 1000 * STRIDE
    assert reader.read_fixed(RECORD).size == 0
    reader.close()


def test_reading_stops_at_the_first_unfinished_record_and_skips_discarded_ones(ring: Ring) -> None:
    reader = RingBuffer(ring.fd, SIZE)
    ring.put(record(1))
    ring.put(record(2), DISCARD)
    ring.put(record(3))
    ring.put(record(4), BUSY)
    ring.put(record(5))
    assert reader.read_fixed(RECORD)["a"].tolist() == [1, 3]
    assert ring.consumed == 3 * STRIDE
    reader.close()


def test_records_of_any_size_one_by_one(ring: Ring) -> None:
    reader = RingBuffer(ring.fd, SIZE)
    expected = [bytes([i]) * (1 + i * 37 % 600) for i in range(200)]
    got = []
    for payload in expected:
        ring.put(payload)
        ring.put(b"gone", DISCARD)
        got += [bytes(view) for view in reader.read_each()]
    assert got == expected
    assert ring.consumed == ring.produced
    reader.close()


def test_what_is_kept_is_read_again_by_whoever_comes_next(ring: Ring) -> None:
    reader = RingBuffer(ring.fd, SIZE, keep=True)
    for a in (1, 2, 3):
        ring.put(record(a))
    assert reader.read_fixed(RECORD)["a"].tolist() == [1, 2, 3]
    assert reader.read_fixed(RECORD).size == ring.consumed == 0
    reader.release()
    ring.put(record(4))
    assert reader.read_fixed(RECORD)["a"].tolist() == [4]
    position = reader.position
    ring.put(record(5))
    reader.close()
    successor = RingBuffer(ring.fd, SIZE, keep=True)
    assert successor.read_fixed(RECORD)["a"].tolist() == [4, 5]
    assert not successor.crowded
    successor.close()
    knowing = RingBuffer(ring.fd, SIZE, keep=True)
    knowing.skip(position)
    assert knowing.read_fixed(RECORD)["a"].tolist() == [5]
    knowing.close()
