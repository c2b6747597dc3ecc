"""One end of SCTP associations without sockets: packets in, packets out.

`Client` opens one association and sends messages on it; `Stack` is all that a host serves. What ends an association is an
ABORT (RFC 9260 section 9.1); nobody here shuts down gracefully.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
import time
from collections.abc import Iterable
from typing import Final

from eastwest.lab.sctp import packet as sctp
from eastwest.lab.sctp.packet import BadPacketError, Chunk, Packet

COOKIE_SECONDS: Final = 60
_COOKIE: Final = struct.Struct("!IIIII")  # our tag, the peer's tag, our and the peer's initial TSN, when
_MAC_BYTES: Final = 16
_ASSOCIATIONS: Final = 65536  # the oldest is forgotten: a probe that vanished never says so


def _number() -> int:
    return secrets.randbelow(0xFFFFFFFF) + 1


def _next(tsn: int) -> int:
    return (tsn + 1) & 0xFFFFFFFF


class Client:
    """The initiating end. `pending` is what to send, now and again until the state changes."""

    def __init__(self, src_port: int, dst_port: int) -> None:
        self.src_port, self.dst_port = src_port, dst_port
        self.established = False
        self.refused = False
        self._tag, self._tsn, self._peer_tag = _number(), _number(), 0
        self._acknowledge: tuple[Chunk, ...] = ()  # goes with the next message
        self.pending: bytes | None = self._packet(sctp.init(sctp.INIT, self._tag, _next(self._tsn)))

    def take(self, raw: bytes) -> list[bytes]:
        """Take a packet from the peer; the payloads that came with it. Anything that is not ours changes nothing."""
        if len(raw) < 4 or struct.unpack_from("!HH", raw) != (self.dst_port, self.src_port):
            return []
        try:
            packet = sctp.decode(raw)
            if packet.tag != self._tag:
                return []
            return self._take(packet)
        except BadPacketError:
            return []

    def message(self, payload: bytes) -> None:
        """Send `payload`: `pending` holds it until the peer has acknowledged it."""
        self._tsn = _next(self._tsn)
        self.pending = self._packet(*self._acknowledge, sctp.data(self._tsn, payload))

    def end(self) -> bytes:
        """The last packet of the association."""
        return self._packet(Chunk(sctp.ABORT))

    def _packet(self, *chunks: Chunk) -> bytes:
        return Packet(self.src_port, self.dst_port, self._peer_tag, chunks).encode()

    def _take(self, packet: Packet) -> list[bytes]:
        found = []
        for chunk in packet.chunks:
            if chunk.kind == sctp.ABORT:
                self.refused, self.pending = True, None
            elif chunk.kind == sctp.INIT_ACK and self._peer_tag == 0:
                self._peer_tag, _, cookie = sctp.read_init(chunk)
                self.pending = self._packet(Chunk(sctp.COOKIE_ECHO, cookie))
            elif chunk.kind == sctp.COOKIE_ACK:
                self.established, self.pending = True, None
            elif chunk.kind == sctp.SACK and chunk.body[:4] == struct.pack("!I", self._tsn):
                self.pending = None
            elif chunk.kind == sctp.DATA:
                tsn, payload = sctp.read_data(chunk)
                self._acknowledge = (sctp.sack(tsn),)
                found.append(payload)
        return found


class Stack:
    """The serving end: ports, cookies (nothing is kept before the third packet) and associations; messages are echoed."""

    def __init__(self, ports: Iterable[int], *, refuses: bool = True) -> None:
        """`refuses`: answer INITs for other ports with ABORT; False where the address has other stacks, too."""
        self.ports = set(ports)
        self._refuses = refuses
        self._secret = secrets.token_bytes(32)
        self._associations: dict[tuple[str, int, int], tuple[int, int, int]] = {}  # our tag, the peer's, TSN

    def take(self, raw: bytes, peer: str) -> bytes | None:
        """The answer to one packet from `peer`; None for what needs none, is broken, or is another process's."""
        try:
            packet = sctp.decode(raw)
            first = packet.chunks[0] if packet.chunks else None
            if first is None:
                return None
            if first.kind == sctp.INIT:
                return self._initiated(packet, first, peer)
            if first.kind == sctp.COOKIE_ECHO:
                return self._opened(packet, first, peer)
            return self._continued(packet, peer)
        except BadPacketError:
            return None

    def _initiated(self, packet: Packet, chunk: Chunk, peer: str) -> bytes | None:
        peer_tag, peer_tsn, _ = sctp.read_init(chunk)
        if packet.dst_port not in self.ports:
            return _answer(packet, peer_tag, Chunk(sctp.ABORT)) if self._refuses else None
        tag, tsn = _number(), _number()
        state = _COOKIE.pack(tag, peer_tag, tsn, peer_tsn, int(time.time()) & 0xFFFFFFFF)
        cookie = state + self._mac(state, packet, peer)
        return _answer(packet, peer_tag, sctp.init(sctp.INIT_ACK, tag, tsn, cookie))

    def _opened(self, packet: Packet, chunk: Chunk, peer: str) -> bytes | None:
        state, mac = chunk.body[: _COOKIE.size], chunk.body[_COOKIE.size :]
        if len(state) < _COOKIE.size or not hmac.compare_digest(mac, self._mac(state, packet, peer)):
            return None
        tag, peer_tag, tsn, _, made = _COOKIE.unpack(state)
        if packet.tag != tag or time.time() - made > COOKIE_SECONDS:
            return None
        if len(self._associations) >= _ASSOCIATIONS:
            del self._associations[next(iter(self._associations))]
        self._associations[peer, packet.src_port, packet.dst_port] = tag, peer_tag, tsn
        return _answer(packet, peer_tag, Chunk(sctp.COOKIE_ACK))

    def _continued(self, packet: Packet, peer: str) -> bytes | None:
        key = peer, packet.src_port, packet.dst_port
        tag, peer_tag, own_tsn = self._associations.get(key, (None, 0, 0))
        if packet.tag != tag:
            return None
        if packet.chunk(sctp.ABORT) is not None:
            del self._associations[key]
            return None
        chunk = packet.chunk(sctp.DATA)
        if chunk is None:
            return None
        tsn, payload = sctp.read_data(chunk)
        self._associations[key] = packet.tag, peer_tag, _next(own_tsn)
        return _answer(packet, peer_tag, sctp.sack(tsn), sctp.data(own_tsn, payload))

    def _mac(self, state: bytes, packet: Packet, peer: str) -> bytes:
        text = state + struct.pack("!HH", packet.src_port, packet.dst_port) + peer.encode()
        return hashlib.blake2s(text, key=self._secret, digest_size=_MAC_BYTES).digest()


def _answer(packet: Packet, tag: int, *chunks: Chunk) -> bytes:
    return Packet(packet.dst_port, packet.src_port, tag, chunks).encode()
