"""The DNS server that a cluster's DNS pods run: UDP and TCP on port 53, /health and /ready over HTTP as CoreDNS has."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Final, cast

from eastwest.lab.dns import message
from eastwest.lab.dns.zone import Zone

_IDLE_SECONDS: Final = 10.0


def respond(zone: Zone, raw: bytes, limit: int | None) -> bytes | None:
    """The response to one query; None when it is too broken to answer."""
    try:
        number, question = message.parse_query(raw)
    except message.BadMessage:
        if len(raw) < 12 or raw[2] & 0x80:
            return None
        return raw[:2] + struct.pack(">HHHHH", 0x8180 | message.FORMERR, 0, 0, 0, 0)
    code, records = zone.answer(question)
    return message.answer(number, question, code, records, limit)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        reply = respond(self._zone, data, message.UDP_LIMIT)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


async def serve(zone_file: Path, addresses: list[str], port: int = 53) -> None:
    """Listen on every address of the pod (a wildcard socket would answer from the right one too, but not on UDP)."""
    zone = Zone(zone_file)
    loop = asyncio.get_running_loop()

    async def on_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE_SECONDS):
                    (length,) = struct.unpack(">H", await reader.readexactly(2))
                    raw = await reader.readexactly(length)
                reply = respond(zone, raw, None)
                if reply is None:
                    return
                writer.write(struct.pack(">H", len(reply)) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return
        finally:
            writer.close()

    for address in addresses:
        await loop.create_datagram_endpoint(lambda: _Udp(zone), local_addr=(address, port))
        await asyncio.start_server(on_tcp, address, port)
