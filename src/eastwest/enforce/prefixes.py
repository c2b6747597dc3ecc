"""Ranges as prefixes, for tables where the longest match wins: of ports (16 bits) and of addresses (32 or 128)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from eastwest.policy.ports import Ranges

K = TypeVar("K")


def split(low: int, high: int, bits: int) -> Iterator[tuple[int, int]]:
    """The fewest (first value, prefix length) that cover exactly low…high, both inclusive, ascending."""
    while low <= high:
        size = min(low & -low if low else 1 << bits, 1 << ((high - low + 1).bit_length() - 1))
        yield low, bits - size.bit_length() + 1
        low += size


@lru_cache(maxsize=1 << 16)
def port_prefixes(ranges: Ranges) -> tuple[tuple[int, int], ...]:
    """(port, prefix length 0 to 16) that cover exactly `ranges`."""
    return tuple(prefix for low, high in ranges for prefix in split(low, high, 16))


def with_background(owned: Mapping[K, Ranges], bits: int) -> tuple[K, dict[K, list[tuple[int, int]]]]:
    """A partition of a whole space, as a background and the prefixes of everybody else, fewest in all.

    The background is who would need most prefixes: it needs none, being what no prefix covers.
    """
    prefixes = {key: [p for low, high in ranges for p in split(low, high, bits)] for key, ranges in owned.items()}
    background = max(prefixes, key=lambda key: len(prefixes[key]))
    del prefixes[background]
    return background, prefixes
