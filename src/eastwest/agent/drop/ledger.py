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

DROP = entry_dtype(KEY, VALUE)
"""Fields `key` (record.KEY) and `value` (record.VALUE)."""


class DropLedger:
    """Memory: about 250 bytes per entry of the map."""

    def __init__(self, read: Read, take_out: TakeOut) -> None:
        self._read = read
        self._take_out = take_out
        self._seen: dict[bytes, tuple[int, int]] = {}

    def increments(self) -> Drops:
        """What was added since the last call, dtype DROP; entries without news are left out."""
        entries = self._read()
        seen: dict[bytes, tuple[int, int]] = {}
        out = entries.copy()
        for i, (key, value) in enumerate(zip(_texts(entries["key"]), entries["value"].tolist(), strict=True)):
            before = self._seen.get(key, (0, 0))
            if value == before:
                value = self._retire(entries["key"][i : i + 1], value)
            else:
                seen[key] = value
            out["value"][i] = (value[0] - before[0], value[1] - before[1])
        self._seen = seen
        return out[out["value"]["packets"] > 0]

    def _retire(self, key: NDArray[Any], value: tuple[int, int]) -> tuple[int, int]:
        last = self._take_out(np.ascontiguousarray(key))
        if last is None:
            return value
        packets, size = last[0].tolist()
        return packets, size


def _texts(keys: NDArray[Any]) -> list[bytes]:
    plain = np.ascontiguousarray(keys)
    return [bytes(row) for row in plain.view(np.uint8).reshape(len(plain), KEY.itemsize)]
