"""The echo that every containerPort serves: bytes come back as they were sent; an HTTP request gets an HTTP answer.

An HTTP request may first trigger the pod's own calls (`when: POST /purchase`): it succeeds only when they all do.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, cast

from eastwest.lab.sctp import raw
from eastwest.lab.sctp.association import Stack

_METHODS: Final = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ")
_LONGEST: Final = max(map(len, _METHODS))
_MAX_HEAD: Final = 65536
Answer = Callable[[str], Awaitable[str | None]]
"""Takes "METHOD /path"; returns None, or why it failed."""


class Server:
    """All the ports of one container, until `drain`."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._servers: list[asyncio.Server] = []
        self._open: set[_Tcp] = set()
        self.draining = False
        self._sctp: raw.Server | None = None
        self._stack: Stack | None = None

    async def listen(self, port: int, protocol: str, addresses: Iterable[str] = ("0.0.0.0", "::")) -> None:
        """Serve one port over TCP or UDP. Raises OSError."""
        loop = asyncio.get_running_loop()
        for address in addresses:
            if protocol == "UDP":
                await loop.create_datagram_endpoint(_Udp, sock=_bound(address, port, socket.SOCK_DGRAM))
            else:
                sock = _bound(address, port, socket.SOCK_STREAM)
                self._servers.append(await loop.create_server(lambda: _Tcp(self), sock=sock, backlog=1024))

    def listen_sctp(self, ports: Iterable[int], *, refuses: bool) -> None:
        """Serve these ports, too, over SCTP; refuse all others, or (with other pods on the address) ignore them."""
        if self._stack is None:
            self._stack = Stack(ports, refuses=refuses)
            self._sctp = raw.Server(self._stack)
        self._stack.ports.update(ports)

    async def drain(self, seconds: float) -> None:
        """Stop listening, let requests in flight finish for at most `seconds`, close the rest."""
        self.draining = True
        for server in self._servers:
            server.close()
        if self._sctp is not None:
            self._sctp.close()
        for connection in list(self._open):
            connection.close_if_idle()
        deadline = asyncio.get_running_loop().time() + seconds
        while self._open and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)


def _bound(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.setblocking(False)
    return sock


class _Udp(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self._transport.sendto(data, addr)


class _Tcp(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""
        self._http: bool | None = None
        self._busy: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server._open.discard(self)
        if self._busy is not None:
            self._busy.cancel()

    def close_if_idle(self) -> None:
        if self._busy is None and self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._http is False:
            self._transport.write(data)
            return
        self._buffer += data
        if self._http is None:
            start = self._buffer[:_LONGEST]
            if any(start.startswith(m) for m in _METHODS):
                self._http = True
            elif any(m.startswith(start) for m in _METHODS):
                return  # could still become a request
            else:
                self._http = False
                self._transport.write(self._buffer)
                self._buffer = b""
                return
        self._next_request()

    def _next_request(self) -> None:
        """Start on the next whole request in the buffer, if the one before is done."""
        assert self._transport is not None
        if self._busy is not None:
            return
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            if len(self._buffer) > _MAX_HEAD:
                self._transport.close()
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        length = int(headers["content-length"]) if headers.get("content-length", "").isdigit() else 0
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        words = lines[0].split(" ")
        path = words[1].partition("?")[0] if len(words) > 1 else "/"
        close = headers.get("connection", "").lower() == "close" or lines[0].endswith("HTTP/1.0")
        request = f"{words[0]} {path}"
        self._busy = asyncio.get_running_loop().create_task(self._reply(request, close=close))

    async def _reply(self, request: str, *, close: bool) -> None:
        assert self._transport is not None
        problem = await self._server._answer(request)
        status = "200 OK" if problem is None else "502 Bad Gateway"
        body = (problem or f"{socket.gethostname()} {request}").encode() + b"\n"
        close = close or self._server.draining
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        head += "Connection: close\r\n\r\n" if close else "\r\n"
        self._transport.write(head.encode() + (b"" if request.startswith("HEAD ") else body))
        self._busy = None
        if close:
            self._transport.close()
        elif self._buffer:
            self._next_request()
