"""Reading a BPF ring buffer through its mapped pages: records in, positions out. No system call per record.

Layout (kernel/bpf/ringbuf.c): one writable page with the consumer's position, then a read-only page with the producer's
and the data, mapped twice in a row so that a record never wraps. Each record has an 8-byte header: length with two
flag bits, page offset. One reader at a time; `sock` and `dns` each own one.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_BUSY: Final = 1 << 31  # BPF_RINGBUF_BUSY_BIT: reserved, not yet written
_DISCARD: Final = 1 << 30
_HEADER: Final = 8

Records = npt.NDArray[np.void]


class RingBuffer:
    """The map behind `map_fd`, `size` bytes of data (its max_entries). Positions only grow, as 64-bit counts."""

    def __init__(self, map_fd: int, size: int, *, keep: bool = False) -> None:
        """`keep`: what is read stays in the ring until `release`, and is read again by whoever comes after us."""
        page = mmap.PAGESIZE
        self._size = size
        self._consumer_page = mmap.mmap(map_fd, page, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
        self._producer_pages = mmap.mmap(map_fd, page + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=page)
        self._consumer = np.frombuffer(self._consumer_page, dtype=np.uint64, count=1)
        self._producer = np.frombuffer(self._producer_pages, dtype=np.uint64, count=1)
        self._data = np.frombuffer(self._producer_pages, dtype=np.uint8, offset=page)
        self._keep, self._at = keep, int(self._consumer[0])

    @property
    def position(self) -> int:
        """Up to where was read."""
        return self._at

    @property
    def crowded(self) -> bool:
        """Whether what was read and is kept takes a quarter of the room."""
        return (self._at - int(self._consumer[0])) * 4 > self._size

    def release(self) -> None:
        """What was read may be written over."""
        self._consumer[0] = self._at

    def release_up_to(self, position: int) -> None:
        """As `release`, but what was read after `position` is kept."""
        self._consumer[0] = max(int(self._consumer[0]), position)

    def skip(self, position: int) -> None:
        """Everything before `position` was read by a predecessor."""
        self._consumer[0] = self._at = max(self._at, position)

    def _read_up_to(self, at: int) -> None:
        self._at = at
        if not self._keep:
            self.release()

    def read_fixed(self, dtype: np.dtype[Any]) -> Records:
        """A copy of every finished record, shape (n,), when all records of the ring are of one size, `dtype`'s."""
        stride = _HEADER + -(-dtype.itemsize // 8) * 8
        at, end = self._at, int(self._producer[0])
        parts: list[Records] = []
        slot = np.dtype(
            {"names": ["length", "record"], "formats": ["<u4", dtype], "offsets": [0, 8], "itemsize": stride}
        )
        while at < end:
            # The last record may reach into the second mapping; from there the view starts again at the front.
            offset = at % self._size
            n = min((end - at) // stride, -(-(self._size - offset) // stride))
            view = self._data[offset : offset + n * stride].view(slot)
            busy = np.flatnonzero(view["length"] & _BUSY)
            done = view[: busy[0]] if busy.size else view
            good = (done["length"] & _DISCARD) == 0
            parts.append(done["record"].copy() if good.all() else done["record"][good])  # a mask copies, too
            at += done.size * stride
            if busy.size:
                break
        self._read_up_to(at)
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty(0, dtype)

    def read_each(self) -> Iterator[memoryview]:
        """Each finished record in turn, of any size; a view that is good only until the next one is asked for."""
        data = self._data.data
        while (at := self._at) < int(self._producer[0]):
            offset = at % self._size
            length = int.from_bytes(data[offset : offset + 4], "little")
            if length & _BUSY:
                return
            size = length & ~(_BUSY | _DISCARD)
            if not length & _DISCARD:
                yield data[offset + _HEADER : offset + _HEADER + size]
            self._read_up_to(at + _HEADER + -(-size // 8) * 8)

    def close(self) -> None:
        """Unmap; arrays returned before stay good."""
        del self._consumer, self._producer, self._data
        self._producer_pages.close()
        self._consumer_page.close()
