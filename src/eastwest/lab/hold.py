"""One connection kept open from a network namespace: a message, its echo, a pause, again, until it is told to end.

Messages go one at a time: what is cut stands still, and what is let through again goes on. Times are CLOCK_MONOTONIC, which all
processes of a machine share.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from pathlib import Path
from typing import Any, Final, Protocol

from eastwest.lab import cgroups, kernel
from eastwest.lab.attempt import named
from eastwest.lab.channel import Channel
from eastwest.lab.sctp.dial import Association

Json = dict[str, Any]
RESEND_SECONDS: Final = 0.3
OPEN_SECONDS: Final = 2.0
_SEQUENCE: Final = struct.Struct("!Q")


class _Line(Protocol):
    async def echo(self, payload: bytes) -> None: ...
    def close(self) -> None: ...


def main_hold(spec: Json, channel: socket.socket | None) -> None:
    """`spec`: cgroup, pid (of the namespace), address, port, protocol, source (or None), interval_s, size_bytes."""
    assert channel is not None
    kernel.set_process_name("hold")
    cgroups.join(Path(spec["cgroup"]))
    kernel.setns(f"/proc/{spec['pid']}/ns/net", kernel.CLONE_NEWNET)
    asyncio.run(_serve(spec, channel))


async def _serve(spec: Json, sock: socket.socket) -> None:
    channel = await Channel.over(sock)
    held = _Held(spec)

    async def on_call(method: str, params: Json) -> Json:  # noqa: ARG001
        if method != "report":
            raise ValueError(f"a held connection cannot {method}")
        return held.report()

    channel.on_call = on_call
    task = asyncio.get_running_loop().create_task(held.run(lambda: channel.send({"event": "ready"})))
    await channel.closed()
    task.cancel()
    held.close()


class _Held:
    def __init__(self, spec: Json) -> None:
        self._spec = spec
        self._line: _Line | None = None
        self._failure: str | None = None
        self._echoes = 0
        self._echoed_sent_ns = 0  # when the last message that came back had been sent
        self._echo_ns = 0
        self._stall_ns = 0

    async def run(self, tried: Any) -> None:
        """Open, tell, then talk until something breaks it."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                self._line = await _open(self._spec)
                sent = time.monotonic_ns()
                await self._line.echo(self._payload(0))
            self._took(sent)
        except (OSError, TimeoutError) as error:
            self._failure = _why(error)
        tried()
        try:
            while self._failure is None and self._line is not None:
                await asyncio.sleep(self._spec["interval_s"])
                sent = time.monotonic_ns()
                await self._line.echo(self._payload(self._echoes))
                self._took(sent)
        except (OSError, asyncio.IncompleteReadError) as error:
            self._failure = _why(error)

    def report(self) -> Json:
        waiting = time.monotonic_ns() - self._echo_ns if self._echo_ns else 0
        return {
            "opened": self._echoes > 0,
            "failure": self._failure,
            "echoes": self._echoes,
            "echoed_sent_ns": self._echoed_sent_ns,
            "longest_stall_s": max(self._stall_ns, waiting) / 1e9,
        }

    def close(self) -> None:
        if self._line is not None:
            self._line.close()

    def _payload(self, number: int) -> bytes:
        return _SEQUENCE.pack(number).ljust(self._spec["size_bytes"], b"x")

    def _took(self, sent_ns: int) -> None:
        now = time.monotonic_ns()
        if self._echo_ns:
            self._stall_ns = max(self._stall_ns, now - self._echo_ns)
        self._echoes, self._echo_ns, self._echoed_sent_ns = self._echoes + 1, now, sent_ns


def _why(error: Exception) -> str:
    """ "refused" or "timeout", as a probe says, and the system's own words."""
    number = error.errno if isinstance(error, OSError) else None
    outcome = "refused" if isinstance(error, ConnectionError) else named(number or 0)
    return f"{outcome}: {error}" if str(error) else outcome


async def _open(spec: Json) -> _Line:
    address, port, source = spec["address"], spec["port"], spec["source"]
    if spec["protocol"] == "TCP":
        reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0) if source else None)
        return _Tcp(reader, writer)
    if spec["protocol"] == "SCTP":
        return _Sctp(await Association.open(address, port, source))
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    if source:
        sock.bind((source, 0))
    sock.connect((address, port))
    return _Udp(sock)


class _Tcp:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def echo(self, payload: bytes) -> None:
        self._writer.write(payload)
        await self._writer.drain()
        await self._reader.readexactly(len(payload))

    def close(self) -> None:
        self._writer.close()


class _Sctp:
    def __init__(self, association: Association) -> None:
        self._association = association

    async def echo(self, payload: bytes) -> None:
        await self._association.echo(payload)

    def close(self) -> None:
        self._association.close()


class _Udp:
    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def echo(self, payload: bytes) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await loop.sock_sendall(self._sock, payload)
            try:
                async with asyncio.timeout(RESEND_SECONDS):
                    while await loop.sock_recv(self._sock, 65535) != payload:
                        pass  # the late echo of one before
            except TimeoutError:
                continue
            return

    def close(self) -> None:
        self._sock.close()
