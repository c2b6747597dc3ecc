"""tc filters by rtnetlink, where the kernel has no TCX (before Linux 6.6): our own on the clsact qdisc of an interface.

A filter stays when its agent ends, killed or not; the next one finds it by its handle and name and replaces its program in
one step. Other programs' filters are left alone, and the qdisc goes with the last filter. include/uapi/linux/pkt_cls.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from eastwest.agent import netlink
from eastwest.agent.netlink import NLMSG_ERROR, attributes, messages

_NEWQDISC, _DELQDISC, _NEWFILTER, _DELFILTER, _GETFILTER = 36, 37, 44, 45, 46
_KIND, _OPTIONS = 1, 2
_BPF_FD, _BPF_NAME, _BPF_FLAGS, _DIRECT_ACTION = 6, 7, 8, 1
_ACK, _EXCL, _CREATE = 4, 0x200, 0x400
_TCMSG: Final = struct.Struct("=BxHiIII")  # family, ifindex, handle, parent, info
_QDISC, _QDISC_PARENT = 0xFFFF0000, 0xFFFFFFF1
_PARENTS: Final = {"to_pod": 0xFFFFFFF3, "from_pod": 0xFFFFFFF2}  # egress and ingress of the interface
_HANDLE: Final = 0xEA57
_NAME: Final = b"eastwest\0"
_EVERY_PROTOCOL: Final = socket.htons(3)  # ETH_P_ALL
_FIRST: Final = 1  # priority: before whatever might end the chain
_GONE: Final = (errno.ENODEV, errno.ENOENT, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class ClsactHook:
    """Our filter on one direction of one interface."""

    ifindex: int
    side: str

    def remove(self) -> None:
        try:
            _ask(_DELFILTER, 0, _filter(self.ifindex, self.side))
            if not any(_handles(self.ifindex, side) for side in _PARENTS):
                _ask(_DELQDISC, 0, _TCMSG.pack(0, 0, self.ifindex, _QDISC, _QDISC_PARENT, 0))
        except OSError as error:
            if error.errno not in _GONE:
                raise

    def leave(self) -> None:
        """Nothing holds it but the interface."""


class Clsact:
    """Attaches by tc filters."""

    def __init__(self, programs: Mapping[str, int]) -> None:
        """By direction: `to_pod` and `from_pod`."""
        self._programs = programs

    @property
    def kind(self) -> str:
        return "clsact"

    def attach(self, ifindex: int) -> tuple[ClsactHook, ...]:
        """Hook both directions; a filter of ours gets our program. About 1 ms. Raises OSError (ENODEV: it is gone)."""
        try:
            _ask(
                _NEWQDISC,
                _CREATE | _EXCL,
                _TCMSG.pack(0, 0, ifindex, _QDISC, _QDISC_PARENT, 0) + _attribute(_KIND, b"clsact\0"),
            )
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        done: list[ClsactHook] = []
        for side in _PARENTS:
            options = (
                _attribute(_BPF_FD, struct.pack("=I", self._programs[side]))
                + _attribute(_BPF_NAME, _NAME)
                + _attribute(_BPF_FLAGS, struct.pack("=I", _DIRECT_ACTION))
            )
            try:
                _ask(_NEWFILTER, _CREATE, _filter(ifindex, side) + _attribute(_OPTIONS, options))
            except OSError:
                for hook in done:
                    hook.remove()
                raise
            done.append(ClsactHook(ifindex, side))
        return tuple(done)

    def left(self) -> dict[int, tuple[ClsactHook, ...]]:
        """Our filters that are there already, by interface."""
        return left()


def left() -> dict[int, tuple[ClsactHook, ...]]:
    """Filters of a predecessor on this network namespace's veths."""
    found: dict[int, tuple[ClsactHook, ...]] = {}
    for link in netlink.list_links():
        hooks = tuple(ClsactHook(link.ifindex, side) for side in _PARENTS if _HANDLE in _handles(link.ifindex, side))
        if hooks:
            found[link.ifindex] = hooks
    return found


def _filter(ifindex: int, side: str) -> bytes:
    info = _FIRST << 16 | _EVERY_PROTOCOL
    return _TCMSG.pack(0, 0, ifindex, _HANDLE, _PARENTS[side], info) + _attribute(_KIND, b"bpf\0")


def _handles(ifindex: int, side: str) -> set[int]:
    """Handles of all filters there; ours is given only when it has our name, others' when they have one."""
    found: set[int] = set()
    body = _TCMSG.pack(0, 0, ifindex, 0, _PARENTS[side], 0)
    with suppress(OSError):  # the interface is gone, or there can be no filters: nothing to list
        for kind, answer in netlink.dump(_GETFILTER, body):
            if kind != _NEWFILTER or len(answer) < _TCMSG.size:
                continue
            handle = _TCMSG.unpack_from(answer)[3]
            options = dict(attributes(answer, _TCMSG.size, len(answer))).get(_OPTIONS, b"")
            name = dict(attributes(options, 0, len(options))).get(_BPF_NAME)
            if handle and (handle != _HANDLE or name == _NAME):
                found.add(handle)
    return found


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def _ask(kind: int, flags: int, body: bytes) -> None:
    """One request that changes something, and its acknowledgement. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, netlink.NETLINK_ROUTE) as s:
        s.bind((0, 0))
        s.send(netlink.request(kind, flags | _ACK, body))
        while True:
            for answer, data in messages(s.recv(1 << 17)):
                if answer == NLMSG_ERROR:
                    return netlink.raise_error(data)
