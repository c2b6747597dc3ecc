"""One attempt to reach an address, per protocol: a socket to wait on, what to send again, and what came back.

An outcome is "reachable", "refused" (somebody said so), "timeout" (an error that means silence) or None (nothing yet).
"""

from __future__ import annotations

import errno
import selectors
import socket
import struct
import sys
from typing import Final, Protocol

from eastwest.lab.sctp import raw
from eastwest.lab.sctp.association import Client

PROTOCOLS: Final = ("TCP", "UDP", "SCTP", "ICMP")
RESEND_SECONDS: Final = 0.3  # a probe lost to a full queue must not look like a policy
_REFUSED: Final = frozenset(
    (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.ECONNRESET,
     errno.ENOPROTOOPT, errno.EPROTO)  # the last two: nobody there speaks this protocol at all, IPv4 and IPv6
)  # fmt: skip
_RECVERR_V4: Final = (socket.IPPROTO_IP, 11)  # linux/in.h IP_RECVERR
_RECVERR_V6: Final = (socket.IPPROTO_IPV6, 25)  # linux/in6.h IPV6_RECVERR
_PAYLOAD: Final = b"eastwest-probe\n"
_ECHO: Final = {socket.AF_INET: 8, socket.AF_INET6: 128}  # ICMP and ICMPv6 echo requests


class Attempt(Protocol):
    """`resends`: whether `send` is to be called again while nothing came."""

    sock: socket.socket
    resends: bool

    def send(self) -> None: ...
    def outcome(self) -> str | None: ...
    def close(self) -> None: ...

    @property
    def events(self) -> int: ...


def named(number: int) -> str:
    """The outcome that an errno means."""
    return "refused" if number in _REFUSED else "timeout"


def start(address: str, port: int, protocol: str, source: str | None = None) -> Attempt:
    """Begin, from the address `source` if given.

    Raises OSError when it failed at once, ValueError on a protocol that nobody can probe.
    """
    if protocol == "TCP":
        return _Tcp(address, port, source)
    if protocol == "UDP":
        return _Datagram(address, port, source, _PAYLOAD)
    if protocol == "ICMP":
        return _Ping(address, source)
    if protocol == "SCTP":
        return _Sctp(address, port, source)
    raise ValueError(f"cannot probe {protocol!r}; use {', '.join(PROTOCOLS)}")


class _Tcp:
    resends = False
    events = selectors.EVENT_WRITE

    def __init__(self, address: str, port: int, source: str | None) -> None:
        self.sock = _socket(address, source, socket.SOCK_STREAM)
        error = self.sock.connect_ex((address, port))
        if error not in (0, errno.EINPROGRESS):
            self.sock.close()
            raise OSError(error, "connect")

    def send(self) -> None:
        """The kernel does."""

    def outcome(self) -> str | None:
        error = _icmp_error(self.sock)[0] or self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return named(error) if error else "reachable"

    def close(self) -> None:
        self.sock.close()


class _Datagram:
    resends = True
    events = selectors.EVENT_READ

    def __init__(self, address: str, port: int, source: str | None, payload: bytes, protocol: int = 0) -> None:
        self._payload = payload
        self.sock = _socket(address, source, socket.SOCK_DGRAM, protocol)
        try:
            self.sock.connect((address, port))
        except OSError:
            self.sock.close()
            raise

    def send(self) -> None:
        try:
            self.sock.send(self._payload)
        except OSError:
            return  # an ICMP error of the datagram before: the next read tells

    def outcome(self) -> str | None:
        error = _icmp_error(self.sock)[0]
        if error:
            return named(error)
        try:
            self.sock.recv(2048)
        except BlockingIOError:
            return None
        except OSError as failed:
            return named(failed.errno or errno.ETIMEDOUT)
        return "reachable"

    def close(self) -> None:
        self.sock.close()


class _Ping(_Datagram):
    """An echo request on a ping socket, whose identifier and checksum are the kernel's (net.ipv4.ping_group_range)."""

    def __init__(self, address: str, source: str | None) -> None:
        six = ":" in address
        request = struct.pack("!BBHHH", _ECHO[socket.AF_INET6 if six else socket.AF_INET], 0, 0, 0, 1) + _PAYLOAD
        super().__init__(address, 0, source, request, socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)


class _Sctp:
    resends = True
    events = selectors.EVENT_READ

    def __init__(self, address: str, port: int, source: str | None) -> None:
        self._client = Client(raw.free_port(), port)
        self.sock = raw.client(address, self._client.src_port, source)
        _hear_errors(self.sock)

    def send(self) -> None:
        if self._client.pending is not None:
            self._put(self._client.pending)

    def outcome(self) -> str | None:
        while True:
            error, quoted = _icmp_error(self.sock)
            if not error:
                break
            if quoted[:4] == struct.pack("!HH", self._client.src_port, self._client.dst_port):
                return named(error)  # others are about other associations of this address
        while True:
            try:
                data = self.sock.recv(65535)
            except BlockingIOError:
                return None
            except OSError:
                continue  # the error that was read above, or another association's
            before = self._client.pending
            self._client.take(raw.payload(self.sock, data))
            if self._client.refused:
                return "refused"
            if self._client.established:
                return "reachable"
            if self._client.pending != before:
                self.send()

    def close(self) -> None:
        if self._client.established:
            self._put(self._client.end())
        self.sock.close()

    def _put(self, packet: bytes) -> None:
        try:
            self.sock.send(packet)
        except OSError:
            return  # an ICMP error of the packet before: the next read tells


def _socket(address: str, source: str | None, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind, protocol)
    sock.setblocking(False)
    if source is not None:
        try:
            sock.bind((source, 0))
        except OSError:
            sock.close()
            raise
    _hear_errors(sock)
    return sock


def _hear_errors(sock: socket.socket) -> None:
    """Without it an ICMP error that comes back inside connect() is only noticed at the next retransmission."""
    sock.setsockopt(*(_RECVERR_V6 if sock.family == socket.AF_INET6 else _RECVERR_V4), 1)


def _icmp_error(sock: socket.socket) -> tuple[int, bytes]:
    """The errno of an ICMP error (first field of struct sock_extended_err) and what it quotes; 0 = none."""
    try:
        quoted, ancillary, _, _ = sock.recvmsg(64, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return 0, b""
    return (int.from_bytes(ancillary[0][2][:4], sys.byteorder) if ancillary else 0), quoted
