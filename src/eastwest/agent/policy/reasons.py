"""Numbers for reasons that hold whatever the plan: by the key's own hash, so that a record's number is never misread.

A plan may renumber its reasons from one version to the next, and a restarted agent finds numbers of its predecessor in
the kernel (docs/decisions/0095). Shared by the thread that applies plans and the tick; `_lock` guards everything.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.policy import abi
from eastwest.model.plan import Reason
from eastwest.wire.batch import Words

KERNEL_KEYS: Final = {
    "posture": "Posture unknown pod",
    "own_node": "Exempt own-node",
    "itself": "Exempt itself",
    "spoofed": "Spoofed",
    "fragment": "Fragment",
    "truncated": "Truncated",
    "undecided": "Undecided",
    "no_table": "No table",
}
"""Record words of the reasons that the kernel gives by itself."""

_FIRST_KERNEL: Final = min(abi.KERNEL_REASONS)


class ReasonBook:
    """Number of a reason -> its key, for every plan of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: dict[int, str] = {n: KERNEL_KEYS[word] for n, word in abi.KERNEL_REASONS.items()}
        self._reason: dict[str, Reason] = {}
        self._number: dict[str, int] = {}

    def numbers(self, reasons: Sequence[Reason]) -> NDArray[np.uint32]:
        """(len(reasons),): the kernel's number of each; the first is nobody and 0."""
        with self._lock:
            found = np.array([0, *(self._of(r) for r in reasons[1:])], np.uint32)
        return found[: len(reasons)]

    def key(self, number: int) -> str | None:
        """The word of a record; None for 0 and for a number of a plan that nobody remembers."""
        with self._lock:
            return self._key.get(number)

    def reason(self, key: str) -> Reason | None:
        """The plan's reason of a key; None for the kernel's own."""
        with self._lock:
            return self._reason.get(key)

    def words(self, numbers: NDArray[Any]) -> Words:
        """A record column of (n,) reason numbers."""
        distinct, codes = np.unique(numbers, return_inverse=True)
        return Words(codes.reshape(-1), [self.key(n) for n in distinct.tolist()])

    @property
    def size(self) -> int:
        """Reasons of plans that are remembered."""
        with self._lock:
            return len(self._number)

    def keep(self, reasons: Iterable[Reason]) -> None:
        """Forget all others."""
        with self._lock:
            kept = {self._of(r) for r in reasons}
            for number in [n for n in self._key if n < _FIRST_KERNEL and n not in kept]:
                key = self._key.pop(number)
                del self._number[key], self._reason[key]

    def _of(self, reason: Reason) -> int:
        key = reason.key
        self._reason[key] = reason
        known = self._number.get(key)
        if known is not None:
            return known
        number = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest(), "little")
        while not 0 < number < _FIRST_KERNEL or number in self._key:
            number = (number + 1) & 0xFFFF_FFFF
        self._key[number] = key
        self._number[key] = number
        return number
