"""Makes calls: resolves, connects, sends, and insists on the answer. No retries: a failed call is a failed call."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable

from eastwest.lab.dns.resolver import Resolver
from eastwest.lab.sctp.dial import Association
from eastwest.lab.workload.calls import Call, Target


class CallFailed(Exception):  # noqa: N818
    """One call did not get its answer; the text says which and why."""


class _Connection:
    __slots__ = ("reader", "writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def usable(self) -> bool:
        return not (self.writer.is_closing() or self.reader.at_eof())


class Caller:
    """Makes the calls of one pod; keeps the connections that are to be kept."""

    def __init__(self, resolver: Resolver, local_addresses: dict[int, str] | None = None) -> None:
        self._resolver = resolver
        self._local = local_addresses or {}
        self._kept: dict[tuple[int, int], list[_Connection | None]] = {}
        self._turn: dict[int, int] = {}

    async def make(self, call: Call) -> None:
        """All targets of one call in turn, within its deadline. Raises CallFailed."""
        try:
            async with asyncio.timeout(call.timeout_s):
                for index, target in enumerate(call.targets):
                    current = target
                    await self._one(call, index, target)
        except TimeoutError as error:
            raise CallFailed(f"{current}: no answer in {call.timeout_s:g} s") from error
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise CallFailed(f"{current}: {error}") from error

    async def repeat(self, call: Call, tell: Callable[[CallFailed | None], None]) -> None:
        """Make `call` at its rate for ever; calls overlap when they are slower than the rate. `tell` gets each result."""
        assert call.period_s is not None
        pending: set[asyncio.Task[None]] = set()
        due = time.monotonic() + random.random() * min(call.period_s, 1.0)  # noqa: S311

        async def one() -> None:
            try:
                await self.make(call)
            except CallFailed as failed:
                tell(failed)
            else:
                tell(None)

        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.get_running_loop().create_task(one())
            pending.add(task)
            task.add_done_callback(pending.discard)
            due = max(due + call.period_s, time.monotonic() - 1.0)

    async def _one(self, call: Call, index: int, target: Target) -> None:
        if target.scheme == "dns":
            await self._resolver.resolve(target.host, call.family)
            return
        if target.scheme == "udp":
            await self._udp(call, target)
            return
        if target.scheme == "sctp":
            await self._sctp(call, target)
            return
        connection, slot = await self._take(call, index, target)
        ok = False
        try:
            if target.scheme == "tcp":
                await _echo(connection, call.size_bytes)
            else:
                await _http(connection, target, call)
            ok = True
        finally:
            if ok and slot is not None and connection.usable:
                self._kept[id(call), index][slot] = connection
            else:
                connection.writer.close()

    async def _take(self, call: Call, index: int, target: Target) -> tuple[_Connection, int | None]:
        """A kept connection that is free, else a new one; and the place to put it back to."""
        slot = None
        if call.keepalive:
            slots = self._kept.setdefault((id(call), index), [None] * call.connections)
            turn = self._turn.get(id(call), 0)
            self._turn[id(call)] = turn + 1
            slot = turn % call.connections
            kept, slots[slot] = slots[slot], None
            if kept is not None and kept.usable:
                return kept, slot
            if kept is not None:
                kept.writer.close()
        addresses = await self._resolver.resolve(target.host, call.family)
        local = self._local.get(call.family)
        reader, writer = await asyncio.open_connection(
            random.choice(addresses),  # noqa: S311
            target.port,
            local_addr=(local, 0) if local else None,
        )
        return _Connection(reader, writer), slot

    async def _udp(self, call: Call, target: Target) -> None:
        addresses = await self._resolver.resolve(target.host, call.family)
        loop = asyncio.get_running_loop()
        transport, reply = await loop.create_datagram_endpoint(
            _Reply, remote_addr=(random.choice(addresses), target.port)  # noqa: S311
        )  # fmt: skip
        try:
            transport.sendto(b"x" * call.size_bytes)
            await reply.got
        finally:
            transport.close()

    async def _sctp(self, call: Call, target: Target) -> None:
        """An association of its own for every call."""
        addresses = await self._resolver.resolve(target.host, call.family)
        association = await Association.open(random.choice(addresses), target.port)  # noqa: S311
        try:
            if await association.echo(b"x" * call.size_bytes) != b"x" * call.size_bytes:
                raise ValueError("the echo differs from what was sent")
        finally:
            association.close()


class _Reply(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:  # noqa: ARG002
        if not self.got.done():
            self.got.set_result(None)

    def error_received(self, exc: Exception) -> None:
        if not self.got.done():
            self.got.set_exception(exc)


async def _echo(connection: _Connection, size: int) -> None:
    payload = b"x" * (size - 1) + b"\n"
    connection.writer.write(payload)
    await connection.writer.drain()
    if await connection.reader.readexactly(len(payload)) != payload:
        raise ValueError("the echo differs from what was sent")


async def _http(connection: _Connection, target: Target, call: Call) -> None:
    body = b"" if target.method in ("GET", "HEAD", "DELETE") else b"x" * call.size_bytes
    host = f"[{target.host}]" if ":" in target.host else target.host
    keep = "keep-alive" if call.keepalive else "close"
    head = f"{target.method} {target.path} HTTP/1.1\r\nHost: {host}\r\nConnection: {keep}\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.writer.write(head.encode() + body)
    lines = (await connection.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    length = next((int(h[15:]) for h in lines if h.lower().startswith("content-length:")), 0)
    text = await connection.reader.readexactly(length)
    status = lines[0].split(" ", 2)[1]
    if any(h.lower() == "connection: close" for h in lines):
        connection.writer.close()
    if not status.startswith(("2", "3")):
        raise ValueError(f"status {status}: {text[:200].decode(errors='replace').strip()}")


async def run_once(caller: Caller, calls: list[Call]) -> list[CallFailed]:
    """Make every call once; the failures."""
    failures = []
    for call in calls:
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await caller.make(call)
            except CallFailed as failed:
                failures.append(failed)
    return failures
