"""The layout of bpf/dns/dns.h, and a record's way to a `Sighting`. The header is the interface; a test compares the two."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

from eastwest.agent.dns.transactions import Sighting

HEADER: Final = struct.Struct("<Q16s16sIHHHHB3x")
PORTS: Final = struct.Struct("<4H")
assert HEADER.size == 56

_FROM_POD, _TO_SERVER, _CUT, _TCP = 1, 2, 4, 8


class Counter(IntEnum):
    """Index into the map `dns_counters`."""

    MESSAGES = 0
    LOST_RING = 1
    UNPARSED_TCP = 2
    UNPARSED_HEADERS = 3


def read(record: memoryview) -> Sighting:
    """One record of the ring, copied."""
    now_ns, src, dst, ifindex, src_port, dst_port, _, captured, flags = HEADER.unpack_from(record)
    return Sighting(
        now_ns=now_ns,
        ifindex=ifindex,
        src=src,
        src_port=src_port,
        dst=dst,
        dst_port=dst_port,
        from_pod=bool(flags & _FROM_POD),
        to_server=bool(flags & _TO_SERVER),
        tcp=bool(flags & _TCP),
        cut=bool(flags & _CUT),
        payload=bytes(record[HEADER.size : HEADER.size + captured]),
    )
