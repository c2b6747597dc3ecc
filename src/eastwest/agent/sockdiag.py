"""Accepting sockets of another network namespace through sock_diag(7): the kernel walks its listeners only.

/proc/PID/net/tcp would do without entering the namespace, but the kernel walks its whole table of connections for it:
20 to 40 ms a pod. Needs CAP_SYS_ADMIN for setns(2), but in one's own.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eastwest.agent import netlink
from eastwest.model.flow import Protocol

NETLINK_SOCK_DIAG: Final = 4
SOCK_DIAG_BY_FAMILY: Final = 20
CLONE_NEWNET: Final = 0x40000000
TCP_LISTEN, TCP_CLOSE = 10, 7  # include/net/tcp_states.h; an unconnected UDP socket is in state CLOSE
_MESSAGE_BYTES: Final = 72  # struct inet_diag_msg
_CGROUP_ID: Final = 21  # INET_DIAG_CGROUP_ID, Linux 5.8
_REQUEST: Final = struct.Struct("=BBBxI48x")  # struct inet_diag_req_v2: family, protocol, extensions, states, no id
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Bound:
    """An accepting socket: its address (16 bytes, zeros for any), and the cgroup it was made in."""

    protocol: int
    port: int
    address: bytes
    cgroup_id: int


class Namespace:
    """One network namespace, entered only to open a socket there: `diag` goes on working outside."""

    def __init__(self, pid: int) -> None:
        with _inside(f"/proc/{pid}/ns/net"):
            self.diag = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG)
            self.ephemeral = _ephemeral()

    def close(self) -> None:
        self.diag.close()

    def ports(self, family: int, protocol: Protocol, state: int) -> set[int]:
        """Local ports of the sockets in one state. Raises OSError (ENOENT: the kernel lacks the diag module)."""
        return {int.from_bytes(answer[4:6], "big") for answer in self._sockets(family, protocol, state)}

    def bound(self, family: int, protocol: Protocol, state: int) -> Iterator[Bound]:
        """The same sockets, with their cgroups. Raises OSError."""
        for answer in self._sockets(family, protocol, state):
            cgroup = _attribute(answer, _CGROUP_ID)
            if cgroup is not None:
                address = answer[8:24] if family == socket.AF_INET6 else _mapped(answer[8:12])
                port = int.from_bytes(answer[4:6], "big")
                yield Bound(int(protocol), port, address, int.from_bytes(cgroup[:8], sys.byteorder))

    def _sockets(self, family: int, protocol: Protocol, state: int) -> Iterator[bytes]:
        """struct inet_diag_msg with its attributes, of every socket in one state."""
        body = _REQUEST.pack(family, protocol, 0, 1 << state)
        self.diag.send(netlink.request(SOCK_DIAG_BY_FAMILY, netlink.NLM_F_DUMP, body))
        for _, answer in netlink.answers(self.diag):
            if len(answer) >= _MESSAGE_BYTES and answer[1] == state:
                yield answer


def read(pid: int) -> set[tuple[int, int]]:
    """(protocol, port) of every accepting socket where process `pid` lives. Raises OSError.

    UDP: bound, not connected, and outside the namespace's range of automatic ports.
    """
    namespace = Namespace(pid)
    try:
        low, high = namespace.ephemeral
        found: set[tuple[int, int]] = set()
        for family in (socket.AF_INET, socket.AF_INET6):
            found |= {(int(Protocol.TCP), p) for p in namespace.ports(family, Protocol.TCP, TCP_LISTEN)}
            udp = namespace.ports(family, Protocol.UDP, TCP_CLOSE)
            found |= {(int(Protocol.UDP), p) for p in udp if not low <= p <= high}
        return found
    finally:
        namespace.close()


def bound(pid: int) -> list[Bound]:
    """Every accepting socket of either protocol and family where process `pid` lives. Raises OSError.

    UDP: not connected, whatever its port: whoever asks has seen that it was the server.
    """
    namespace = Namespace(pid)
    try:
        return [
            found
            for family in (socket.AF_INET, socket.AF_INET6)
            for protocol, state in ((Protocol.TCP, TCP_LISTEN), (Protocol.UDP, TCP_CLOSE))
            for found in namespace.bound(family, protocol, state)
        ]
    finally:
        namespace.close()


def _mapped(ipv4: bytes) -> bytes:
    return b"\0" * 10 + b"\xff\xff" + ipv4 if any(ipv4) else bytes(16)


def _attribute(message: bytes, wanted: int) -> bytes | None:
    """The value of one attribute behind a struct inet_diag_msg (struct nlattr: length, type)."""
    at = _MESSAGE_BYTES
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if length < 4:
            return None
        if kind == wanted:
            return message[at + 4 : at + length]
        at += (length + 3) & ~3
    return None


@contextmanager
def _inside(path: str) -> Iterator[None]:
    """This thread in another network namespace, for a moment (setns is per thread)."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        elsewhere = not os.path.sameopenfile(own, there)  # where we are already, no privilege is needed
        try:
            if elsewhere:
                _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            if elsewhere:
                _setns(own)
    finally:
        os.close(own)


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _ephemeral() -> tuple[int, int]:
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(low), int(high)
