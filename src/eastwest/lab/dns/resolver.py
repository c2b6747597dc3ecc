"""The stub resolver of the built-in workloads: /etc/resolv.conf with search and ndots, UDP, TCP when truncated.

Written against resolv.conf(5), so that the packets are those of an ordinary program in a pod. Answers are kept for
their TTL.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eastwest.lab.dns import message

_ATTEMPTS: Final = 2
_TIMEOUT: Final = 1.0


class NotFound(OSError):  # noqa: N818
    """The name does not exist or has no such address, or no server answered."""


@dataclass(frozen=True, slots=True)
class ResolverConfig:
    servers: tuple[str, ...]
    search: tuple[str, ...] = ()
    ndots: int = 1

    @classmethod
    def parse(cls, text: str) -> ResolverConfig:
        """From the text of a resolv.conf file."""
        servers: list[str] = []
        search: tuple[str, ...] = ()
        ndots = 1
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["nameserver"] and len(words) > 1:
                servers.append(words[1])
            elif words[:1] == ["search"]:
                search = tuple(words[1:])
            elif words[:1] == ["options"]:
                ndots = next((int(w[6:]) for w in words[1:] if w.startswith("ndots:")), ndots)
        return cls(tuple(servers), search, ndots)

    def candidates(self, name: str) -> list[str]:
        """The full names to try for `name`, in order."""
        if name.endswith("."):
            return [name.rstrip(".")]
        searched = [f"{name}.{suffix}" for suffix in self.search]
        return [name, *searched] if name.count(".") >= self.ndots else [*searched, name]


class Resolver:
    """Resolves for one process; not shared between event loops."""

    def __init__(self, config: ResolverConfig | None = None) -> None:
        self._config = config or ResolverConfig.parse(Path("/etc/resolv.conf").read_text())
        self._kept: dict[tuple[str, int], tuple[float, list[str]]] = {}

    async def resolve(self, name: str, family: int) -> list[str]:
        """The addresses of `name` for family 4 or 6. Raises NotFound."""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            pass
        else:
            return [name]
        kept = self._kept.get((name, family))
        if kept is not None and kept[0] > time.monotonic():
            return kept[1]
        type_ = message.AAAA if family == 6 else message.A
        for candidate in self._config.candidates(name):
            records = await self._ask(candidate, type_)
            found = [str(r.data) for r in records if r.type == type_]
            if found:
                ttl_s = min(r.ttl_s for r in records)
                self._kept[name, family] = (time.monotonic() + ttl_s, found)
                return found
        raise NotFound(f"no IPv{family} address for {name}")

    async def _ask(self, name: str, type_: int) -> list[message.Record]:
        for attempt in range(_ATTEMPTS):
            server = self._config.servers[attempt % len(self._config.servers)]
            number = random.randrange(1 << 16)  # noqa: S311 - a lab's own DNS
            raw = message.query(number, name, type_)
            try:
                async with asyncio.timeout(_TIMEOUT):
                    _, truncated, records = message.parse_answer(await _over_udp(server, raw), number)
                    if truncated:
                        _, _, records = message.parse_answer(await _over_tcp(server, raw), number)
                    return records
            except (TimeoutError, message.BadMessage, ConnectionError):
                continue
        raise NotFound(f"no DNS answer for {name}")


class _OneReply(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:  # noqa: ARG002
        if not self.reply.done():
            self.reply.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(exc)


async def _over_udp(server: str, raw: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_OneReply, remote_addr=(server, 53))
    try:
        transport.sendto(raw)
        return await protocol.reply
    finally:
        transport.close()


async def _over_tcp(server: str, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(struct.pack(">H", len(raw)) + raw)
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as cut:
        raise ConnectionError("DNS server closed the connection") from cut
    finally:
        writer.close()
