"""Connections whose destination this network namespace translates, dumped over ctnetlink. Reads only; knows no records.

Kernels that know CTA_STATUS_MASK leave the others out; older ones send all of them, and they are left out here. Layouts:
include/uapi/linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h. The kernel writes a tuple of a protocol with ports in
one order, so fields are gathered at fixed offsets; what is written otherwise is counted and left out, never guessed.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import netlink
from eastwest.model.flow import Protocol

NETLINK_NETFILTER: Final = 12
CT_NEW, CT_GET = 0x100, 0x101  # NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_*
CTA_STATUS, CTA_STATUS_MASK, IPS_DST_NAT = 3, 26, 1 << 5
LIMIT: Final = 262_144
"""Connections that are taken at most (64 B each); a node with more of them gets an error, not half of the answer."""
_TIMEOUT_S: Final = 2
_RECEIVE_BYTES: Final = 1 << 16  # more than the kernel ever puts into one datagram of a dump
_START: Final = 20  # struct nlmsghdr and struct nfgenmsg
_NESTED: Final = 0x8000
_IPV4_MAPPED: Final = np.array([0] * 10 + [0xFF] * 2, np.uint8)

TUPLES: Final = np.dtype(
    [
        ("src", "u1", 16),
        ("asked", "u1", 16),
        ("answerer", "u1", 16),
        ("src_port", "u2"),
        ("asked_port", "u2"),
        ("answerer_port", "u2"),
        ("protocol", "u1"),
        ("pad", "u1", 9),
    ]
)
"""Who opened it, what it asked for (the original tuple), and who answers (the reply's source); as in abi.RECORD."""


@dataclass(frozen=True, slots=True)
class Dump:
    """`unread`: messages of a form that is not known."""

    tuples: NDArray[Any]  # (n,) TUPLES
    unread: int


def dump() -> Dump:
    """Every translated TCP, UDP and SCTP connection of this thread's network namespace.

    Raises OSError: the kernel's answer, ENOBUFS for more than LIMIT, EAGAIN when it does not answer.
    """
    parts, unread, total = [np.empty(0, TUPLES)], 0, 0
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER) as s:
        s.bind((0, 0))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _TIMEOUT_S, 0))
        s.send(_question())
        done = False
        while not done:
            found, done = parse(s.recv(_RECEIVE_BYTES))
            parts.append(found.tuples)
            unread += found.unread
            total += len(found.tuples)
            if total > LIMIT:
                raise OSError(errno.ENOBUFS, f"more than {LIMIT} translated connections")
    return Dump(np.concatenate(parts), unread)


def _question() -> bytes:
    flag = struct.pack(">I", IPS_DST_NAT)
    filters = b"".join(struct.pack("=HH", 8, kind) + flag for kind in (CTA_STATUS, CTA_STATUS_MASK))
    return netlink.request(CT_GET, netlink.NLM_F_DUMP, struct.pack("=BBH", socket.AF_UNSPEC, 0, 0) + filters)


def parse(data: bytes) -> tuple[Dump, bool]:
    """One datagram of a dump, and whether it is the last. Raises OSError for an error that it holds."""
    starts: dict[int, list[int]] = {socket.AF_INET: [], socket.AF_INET6: []}
    unread, at, done = 0, 0, False
    while at + 16 <= len(data) and not done:
        length, kind = struct.unpack_from("=IH", data, at)
        if length < 16 or at + length > len(data):
            unread += 1
            break
        if kind in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE):
            code = -int.from_bytes(data[at + 16 : at + min(length, 20)], "little", signed=True)
            if code > 0:
                raise OSError(code, os.strerror(code))
            done = True
        elif kind == CT_NEW:
            family = data[at + 16] if length >= _START else socket.AF_UNSPEC
            if family in starts and length >= _START + _ENTRY[family].itemsize:
                starts[family].append(at)
            else:
                unread += 1
        at += (length + 3) & ~3
    read = [_gather(data, np.array(places, np.intp), family) for family, places in starts.items()]
    return Dump(np.concatenate([d.tuples for d in read]), unread + sum(d.unread for d in read)), done


def _gather(data: bytes, starts: NDArray[np.intp], family: int) -> Dump:
    """The messages of one family that begin at `starts`, each long enough for two tuples of it."""
    entry = _ENTRY[family]
    raw = np.frombuffer(data, np.uint8)[starts[:, None] + np.arange(_START, _START + entry.itemsize)]
    rows = raw.view(entry).reshape(-1)
    ports = _HAS_PORTS[rows["original"]["protocol"]]
    known = (raw[:, _FIXED[family]] == _TEMPLATE[family][_FIXED[family]]).all(axis=1)
    rows = rows[ports & known]
    found = np.zeros(len(rows), TUPLES)
    for name, side, end in (("src", "original", "src"), ("asked", "original", "dst"), ("answerer", "reply", "src")):
        if family == socket.AF_INET:
            found[name][:, :12], found[name][:, 12:] = _IPV4_MAPPED, rows[side][end]
        else:
            found[name] = rows[side][end]
        found[f"{name}_port"] = rows[side][f"{end}_port"]
    found["protocol"] = rows["original"]["protocol"]
    translated = (found["asked"] != found["answerer"]).any(axis=1) | (found["asked_port"] != found["answerer_port"])
    return Dump(found[translated], int((ports & ~known).sum()))


def _tuple(address: int) -> np.dtype[Any]:
    """CTA_TUPLE_ORIG or CTA_TUPLE_REPLY: the headers (length, type) are named h0, h1 ..."""
    header, port = ("=u2", 2), ">u2"
    return np.dtype(
        [
            ("h0", *header),
            ("h1", *header),  # CTA_TUPLE_IP
            ("h2", *header),
            ("src", "u1", address),
            ("h3", *header),
            ("dst", "u1", address),
            ("h4", *header),  # CTA_TUPLE_PROTO
            ("h5", *header),
            ("protocol", "u1"),
            ("pad0", "u1", 3),
            ("h6", *header),
            ("src_port", port),
            ("pad1", "u1", 2),
            ("h7", *header),
            ("dst_port", port),
            ("pad2", "u1", 2),
        ]
    )


def _template(address: int, kind: int) -> NDArray[Any]:
    """The headers of a tuple as the kernel writes them."""
    one, (ip, proto) = np.zeros(1, _tuple(address)), (4 + 2 * (4 + address), 28)
    one["h0"], one["h1"], one["h4"] = (4 + ip + proto, _NESTED | kind), (ip, _NESTED | 1), (proto, _NESTED | 2)
    source = 1 if address == 4 else 3  # CTA_IP_V4_SRC or CTA_IP_V6_SRC; the destination's is one more
    one["h2"], one["h3"] = (4 + address, source), (4 + address, source + 1)
    one["h5"], one["h6"], one["h7"] = (5, 1), (6, 2), (6, 3)
    return one.view(np.uint8)


def _fixed(address: int) -> NDArray[np.intp]:
    """Where the headers' bytes are in a tuple."""
    fields = _tuple(address).fields
    assert fields is not None
    at = [fields[f"h{i}"][1] for i in range(8)]
    return (np.array(at, np.intp)[:, None] + np.arange(4)).reshape(-1)


_SIZES: Final = {int(socket.AF_INET): 4, int(socket.AF_INET6): 16}
_ENTRY: Final = {f: np.dtype([("original", _tuple(a)), ("reply", _tuple(a))]) for f, a in _SIZES.items()}
_TEMPLATE: Final = {f: np.concatenate([_template(a, 1), _template(a, 2)]) for f, a in _SIZES.items()}
_FIXED: Final = {f: np.concatenate([_fixed(a), _tuple(a).itemsize + _fixed(a)]) for f, a in _SIZES.items()}
_HAS_PORTS: Final = np.zeros(256, np.bool_)
_HAS_PORTS[[Protocol.TCP, Protocol.UDP, Protocol.SCTP]] = True
