"""The kernel's structs as numpy types: a mirror of bpf/flow/flow.h, compared with the objects' BTF by a test."""

from __future__ import annotations

import zlib
from enum import IntEnum
from typing import Final

import numpy as np

from eastwest.model.flow import Reporter, RoleSource

FROM_POD: Final = 0
TO_POD: Final = 1

ROLES: Final = (Reporter.UNKNOWN, Reporter.CLIENT, Reporter.SERVER)
"""Indexed by enum ew_role."""

ROLE_SOURCES: Final = (
    RoleSource.UNKNOWN,
    RoleSource.FIRST_PACKET,
    RoleSource.LISTENER,
    RoleSource.CONNTRACK,
    RoleSource.HANDSHAKE,
)
"""Indexed by enum ew_role_source."""

COUNTED_IN: Final = ("flow", "overflow")
"""Indexed by enum ew_counted_in."""

LOST: Final = ("overflow_full", "unparsed_fragment", "unparsed_truncated")
"""Causes of loss with bytes of their own, indexed by enum ew_lost."""

EVENTS: Final = (
    "non_ip",
    "neighbour_discovery",
    "flow_map_full",
    "undecided",
    "unread_denied",
    "unread_would_deny",
    "encapsulated",
)
"""Packet counts beside the books, indexed by enum ew_event."""


ACTIVE: Final = (6, 17, 1, 132, 0)
"""IP protocols by which entries of the flow map are counted, indexed by enum ew_active; 0 stands for all others."""


class Variant(IntEnum):
    NONE = 0
    ECHO_CLIENT = 1
    ECHO_SERVER = 2
    ICMP_OTHER = 3


FLOW_KEY: Final = np.dtype(
    [
        ("pod_addr", "u1", 16),
        ("peer_addr", "u1", 16),
        ("ifindex", "u4"),
        ("pod_port", "u2"),
        ("peer_port", "u2"),
        ("protocol", "u1"),
        ("variant", "u1"),
        ("ghost", "u1"),
        ("pad", "u1"),
    ]
)
TALLY: Final = np.dtype([("packets", "u4"), ("segments", "u4")])
SET: Final = np.dtype(
    [
        ("bytes", "u8", 2),
        ("tally", TALLY, 2),
        ("first_ns", "u8"),
        ("last_ns", "u8"),
        ("opens", "u4"),
        ("answered", "u4"),
        ("denied", "u4"),
        ("would_deny", "u4"),
    ]
)
VERDICT: Final = np.dtype([("generation", "u4"), ("ruling", "u1"), ("enforced", "u1"), ("pad", "u1", 2)])
FLOW: Final = np.dtype(
    [
        ("tick", "u4"),
        ("flags", "u4"),
        ("verdict", VERDICT),
        ("quiet_since_ns", "u8"),
        ("isn", "u4"),
        ("nat_port", "u2"),
        ("role", "u1"),
        ("role_source", "u1"),
        ("set", SET, 2),
        ("unjudged", "u4", 2),
        ("allow_reason", "u4"),
        ("deny_reason", "u4"),
        ("opened_ns", "u8"),
        ("nat_addr", "u1", 16),
        ("initiator_addr", "u1", 16),
        ("cgroup", "u8"),
    ]
)
OVERFLOW: Final = np.dtype(
    [
        ("set", SET, 2),
        ("tick", "u4"),
        ("role_source", "u4"),
        ("allowed", "u4", 2),
        ("allow_reason", "u4"),
        ("deny_reason", "u4"),
    ]
)
AMOUNT: Final = np.dtype([("bytes", "u8"), ("packets", "u8")])
INTERFACE_SET: Final = np.dtype([("hook", AMOUNT, 2), ("lost", AMOUNT, len(LOST)), ("events", "u8", len(EVENTS))])
INTERFACE: Final = np.dtype([("set", INTERFACE_SET, 2), ("active", "u8", len(ACTIVE))])
LISTENER_KEY: Final = np.dtype([("ifindex", "u4"), ("port", "u2"), ("protocol", "u1"), ("pad", "u1")])

RECORD_KEY_BYTES: Final = 64
"""The first bytes of a record: who and what. Records that agree in them may be added up."""

RECORD: Final = np.dtype(
    [
        ("src", "u1", 16),
        ("dst", "u1", 16),
        ("service", "u1", 16),
        ("ifindex", "u4"),
        ("src_port", "u2"),
        ("dst_port", "u2"),
        ("service_port", "u2"),
        ("protocol", "u1"),
        ("role", "u1"),
        ("role_source", "u1"),
        ("counted_in", "u1"),
        ("owner", "u2"),
        ("bytes", "u8", 2),
        ("tally", TALLY, 2),
        ("first_ns", "u8"),
        ("last_ns", "u8"),
        ("opens", "u4"),
        ("answered", "u4"),
        ("allowed", "u4"),
        ("denied", "u4"),
        ("would_deny", "u4"),
        ("allow_reason", "u4"),
        ("deny_reason", "u4"),
        ("pad2", "u4"),
    ]
)
DRAIN: Final = np.dtype(
    [
        ("now_ns", "u8"),
        ("carry_ns", "u8"),
        ("closed_ns", "u8"),
        ("idle_tcp_ns", "u8"),
        ("idle_other_ns", "u8"),
        ("set", "u4"),
        ("tick", "u4"),
        ("limit", "u4"),
        ("purge", "u4"),
        ("hold", "u4"),
        ("records", "u4"),
        ("full", "u4"),
        ("entries", "u4"),
        ("deleted", "u4"),
        ("carried", "u4"),
        ("overflow_entries", "u4"),
        ("pad", "u4"),
    ]
)

STRUCTS: Final = {
    "ew_flow_key": FLOW_KEY,
    "ew_tally": TALLY,
    "ew_set": SET,
    "ew_verdict": VERDICT,
    "ew_flow": FLOW,
    "ew_overflow": OVERFLOW,
    "ew_amount": AMOUNT,
    "ew_interface_set": INTERFACE_SET,
    "ew_interface": INTERFACE,
    "ew_listener_key": LISTENER_KEY,
    "ew_record": RECORD,
    "ew_drain": DRAIN,
}
"""By C name, for the layout test."""


def digest() -> int:
    """64 bits that change whenever a layout does: maps that another version left are used only by equals."""
    text = ";".join(f"{name}:{dtype.descr}:{dtype.itemsize}" for name, dtype in STRUCTS.items())
    raw = text.encode()
    return zlib.crc32(raw) << 32 | zlib.adler32(raw)  # hashlib would load libcrypto: 4 MiB on every node
