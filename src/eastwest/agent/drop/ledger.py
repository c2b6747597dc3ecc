"""From the kernel's totals per kind of drop to increments per tick. The kernel's entries stay while they count.

An entry that was quiet for a whole tick is taken out, with what it held at that moment, so that nothing is lost in
between. Knows maps only through the two functions it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.batchmap import entry_dtype
from eastwest.agent.drop.record import KEY, VALUE

Drops = NDArray[Any]
Read = Callable[[], Drops]
TakeOut = Callable[[NDArray[Any]], NDArray[Any] | None]
"""One key (shape (1,)) to the value it held last, None when it is gone."""

_NEVER = (0, 0, 0)

DROP = entry_dtype(KEY, VALUE)
"""Fields `key` (record.KEY) and `value` (record.VALUE)."""


class DropLedger:
    """Memory: about 250 bytes per entry of the map."""

    def __init__(self, read: Read, take_out: TakeOut, seen: Drops | None = None) -> None:
        """`seen`: what a predecessor's last `seen` was."""
        self._read = read
        self._take_out = take_out
        self.seen = np.empty(0, DROP) if seen is None else seen
        """Every entry of the map as it was read last, dtype DROP."""
        self._seen = dict(zip(_texts(self.seen["key"]), self.seen["value"].tolist(), strict=True))
        self.taken_out = 0  # packets that came between the reading of an entry and its taking out, ever

    def increments(self) -> Drops:
        """What was added since the last call, dtype DROP; entries without news are left out."""
        entries = self._read()
        seen: dict[bytes, tuple[int, int, int]] = {}
        out = entries.copy()
        for i, (key, value) in enumerate(zip(_texts(entries["key"]), entries["value"].tolist(), strict=True)):
            before = self._seen.get(key, _NEVER)
            if before[2] != value[2]:
                before = _NEVER  # that was another entry of the same key
            if value == before:
                value = self._retire(entries["key"][i : i + 1], value)
            else:
                seen[key] = value
            out["value"][i] = (value[0] - before[0], value[1] - before[1], value[2])
        self._seen, self.seen = seen, entries
        return out[out["value"]["packets"] > 0]

    def _retire(self, key: NDArray[Any], value: tuple[int, int, int]) -> tuple[int, int, int]:
        last = self._take_out(np.ascontiguousarray(key))
        if last is None:
            return value
        packets, size, born_ns = last[0].tolist()
        self.taken_out += packets - value[0]
        return packets, size, born_ns


def _texts(keys: NDArray[Any]) -> list[bytes]:
    plain = np.ascontiguousarray(keys)
    return [bytes(row) for row in plain.view(np.uint8).reshape(len(plain), KEY.itemsize)]
