"""Raw IP sockets for SCTP: one per client and port, one per family for a server. Needs CAP_NET_RAW."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import itertools
import secrets
import socket
import struct
from collections.abc import Iterator
from typing import Final

from eastwest.lab.sctp.association import Stack

PROTOCOL: Final = 132
_PORTS: Final = range(32768, 61000)  # net.ipv4.ip_local_port_range
_SO_ATTACH_FILTER: Final = 26
_IP_PKTINFO: Final = 8  # linux/in.h
_BUFFER_BYTES: Final = 1 << 22


@functools.cache
def _turn() -> Iterator[int]:
    """Begins anywhere, when a process first asks: those of one network namespace should not meet."""
    return itertools.count(secrets.choice(_PORTS))


def free_port() -> int:
    """A port for a new association: raw sockets have none of their own, so they are used in turn."""
    return _PORTS[next(_turn()) % len(_PORTS)]


def client(address: str, local_port: int, source: str | None = None) -> socket.socket:
    """A non-blocking socket for packets from `address` to `local_port` (of `source`) and its ICMP errors. Raises OSError."""
    six = ":" in address
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, PROTOCOL)
    try:
        _only_port(sock, local_port, six=six)
        sock.setblocking(False)
        if source is not None:
            sock.bind((source, 0))
        sock.connect((address, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def payload(sock: socket.socket, raw: bytes) -> bytes:
    """What `recv` gave without the IP header, which IPv4 sockets deliver (raw(7)) and IPv6 sockets do not."""
    return raw if sock.family == socket.AF_INET6 else raw[(raw[0] & 0x0F) * 4 :]


def _only_port(sock: socket.socket, port: int, *, six: bool) -> None:
    """Let the kernel drop what is for other ports: every raw socket of a namespace is shown every packet."""
    load = [(0x28, 0, 0, 2)] if six else [(0xB1, 0, 0, 0), (0x48, 0, 0, 2)]  # ldh [2], or ldxb 4*([0]&0xf); ldh [x+2]
    program = [*load, (0x15, 0, 1, port), (0x06, 0, 0, 0xFFFFFFFF), (0x06, 0, 0, 0)]  # jeq port; ret all; ret nothing
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    filter_ = struct.pack("@HP", len(program), ctypes.addressof(code))  # struct sock_fprog
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)


class Server:
    """A `Stack` on both families of this network namespace, read by the running loop until `close`."""

    def __init__(self, stack: Stack) -> None:
        """Raises OSError."""
        self._stack = stack
        self._sockets = [self._open(family) for family in (socket.AF_INET, socket.AF_INET6)]

    def close(self) -> None:
        for sock in self._sockets:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_RAW, PROTOCOL)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        sock.setblocking(False)
        asyncio.get_running_loop().add_reader(sock, self._readable, sock)
        return sock

    def _readable(self, sock: socket.socket) -> None:
        while True:
            try:
                raw, ancillary, _, peer = sock.recvmsg(65535, 256)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an answer
            answer = self._stack.take(payload(sock, raw), peer[0])
            if answer is not None:
                with contextlib.suppress(OSError):  # a full queue loses it, as a network does; the peer asks again
                    sock.sendmsg([answer], _from_where_it_was_sent_to(sock, ancillary), 0, peer)


def _from_where_it_was_sent_to(
    sock: socket.socket, ancillary: list[tuple[int, int, bytes]]
) -> list[tuple[int, int, bytes]]:
    """The control message that makes the answer's source the address that was asked."""
    for level, kind, value in ancillary:
        if sock.family == socket.AF_INET and (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            return [(level, kind, struct.pack("=I", 0) + value[4:8] + bytes(4))]  # in_pktinfo: ifindex, spec_dst, addr
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            return [(level, kind, value[:16] + struct.pack("=I", 0))]
    return []
