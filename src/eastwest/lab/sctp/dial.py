"""An SCTP association for asyncio code: open, exchange messages, end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from eastwest.lab.sctp import raw
from eastwest.lab.sctp.association import Client

RESEND_SECONDS: Final = 0.3


class Association:
    """Use `open`. Deadlines are the caller's (asyncio.timeout); each wait sends again what was not answered."""

    def __init__(self, address: str, port: int, source: str | None = None) -> None:
        """Raises OSError."""
        self._client = Client(raw.free_port(), port)
        self._sock = raw.client(address, self._client.src_port, source)
        self._received: list[bytes] = []

    @classmethod
    async def open(cls, address: str, port: int, source: str | None = None) -> Association:
        """The four-way handshake. Raises OSError."""
        made = cls(address, port, source)
        try:
            await made._until(lambda: made._client.established)
        except BaseException:
            made.close()
            raise
        return made

    async def echo(self, payload: bytes) -> bytes:
        """Send one message and return the one that comes back. Raises OSError."""
        self._client.message(payload)
        await self._until(lambda: bool(self._received))
        return self._received.pop(0)

    def close(self) -> None:
        """End the association."""
        if self._client.established:
            with contextlib.suppress(OSError):  # nobody is left to tell
                self._sock.send(self._client.end())
        self._sock.close()

    async def _until(self, done: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        while not done():
            if self._client.refused:
                raise ConnectionRefusedError("the association was refused or aborted")
            if self._client.pending is not None:
                await loop.sock_sendall(self._sock, self._client.pending)
            before = self._client.pending
            until = loop.time() + RESEND_SECONDS
            while not done() and self._client.pending == before and loop.time() < until:
                try:
                    async with asyncio.timeout_at(until):
                        data = await loop.sock_recv(self._sock, 65535)
                except TimeoutError:
                    break
                self._received += self._client.take(raw.payload(self._sock, data))
