"""Numbers that stay: what was in the plan before keeps its number in the next one, so that a delta holds what changed.

A compilation begins, asks for numbers, and is kept when it succeeded; one that failed leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from eastwest.model.plan import NOBODY, Reason

K = TypeVar("K", bound=Hashable)
NEW_START: Final = 1 << 31
"""Past this number of numbers everything is numbered anew, once: they are 32 bits in the kernel."""


class Book(Generic[K]):
    """One number, from 1 up, for each distinct key."""

    def __init__(self) -> None:
        self._before: dict[K, int] = {}
        self._now: dict[K, int] = {}
        self._keys: dict[int, K] = {}
        self._next = 1

    def begin(self) -> None:
        self._now, self._keys = {}, {}
        if self._next > NEW_START:
            self._before, self._next = {}, 1

    def keep(self) -> None:
        """What was asked for since `begin` is what is remembered."""
        self._before = self._now

    def number(self, key: K, size: int = 1) -> int:
        """The number of a key, or the first of its block of `size` numbers, which is always the same for a key."""
        found = self._now.get(key)
        if found is None:
            found = self._before.get(key) if self._before else None
            if found is None:
                found, self._next = self._next, self._next + size
            self._now[key] = found
            self._keys[found] = key
        return found

    def key(self, number: int) -> K:
        """What a number that was asked for since `begin` stands for."""
        return self._keys[number]


def carried(
    old: NDArray[np.uint32], group: NDArray[Any], n_groups: int, first_free: int
) -> tuple[NDArray[np.uint32], int]:
    """One number for each group of members, (n_groups,), and the first that is still free.

    old: (n_members,), the number that a member had, 0 = none. A group gets one that some member had, unless another
    group got it; groups are asked in the order of their members.
    """
    out = [0] * n_groups
    taken: set[int] = set()
    if first_free > NEW_START:
        old, first_free = np.zeros_like(old), 1
    with_old = np.flatnonzero(old)
    codes = group[with_old].astype(np.int64) << 32 | old[with_old]
    for code in codes[np.sort(np.unique(codes, return_index=True)[1])].tolist():
        of, number = code >> 32, code & 0xFFFFFFFF
        if not out[of] and number not in taken:
            out[of] = number
            taken.add(number)
    for of, number in enumerate(out):
        if not number:
            out[of] = first_free
            first_free += 1
    return np.asarray(out, np.uint32), first_free


class ReasonSlots:
    """Positions in one node's `NodePlan.reasons`: kept while a reason is used, then given to others."""

    def __init__(self) -> None:
        self._at: dict[int, int] = {}

    def place(self, used: Iterable[int]) -> dict[int, int]:
        """The position of each reason (numbers of a `Book`), from 1 up."""
        wanted = sorted(used)
        kept = {n: self._at[n] for n in wanted if n in self._at}
        if len(kept) < len(self._at) // 2:
            kept = {}
        taken = set(kept.values())
        free = (i for i in range(1, len(wanted) + len(taken) + 1) if i not in taken)
        self._at = {n: kept[n] if n in kept else next(free) for n in wanted}
        return self._at

    @staticmethod
    def listed(placed: dict[int, int], reason_of: Callable[[int], Reason]) -> tuple[Reason, ...]:
        """`NodePlan.reasons`; positions that nobody has hold `NOBODY`."""
        out = [NOBODY] * (max(placed.values(), default=0) + 1)
        for number, position in placed.items():
            out[position] = reason_of(number)
        return tuple(out)
