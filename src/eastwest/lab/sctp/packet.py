"""SCTP packets as bytes (RFC 9260 section 3) and their CRC32c. Pure; knows no sockets and no state."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

DATA: Final = 0
INIT: Final = 1
INIT_ACK: Final = 2
SACK: Final = 3
ABORT: Final = 6
COOKIE_ECHO: Final = 10
COOKIE_ACK: Final = 11
STATE_COOKIE: Final = 7  # a parameter of INIT ACK
WINDOW_BYTES: Final = 65536
_HEADER: Final = struct.Struct("!HHII")  # ports, verification tag, checksum
_CHUNK: Final = struct.Struct("!BBH")  # type, flags, length with this header
_INIT: Final = struct.Struct("!IIHHI")  # initiate tag, window, outbound and inbound streams, initial TSN
_DATA: Final = struct.Struct("!IHHI")  # TSN, stream, sequence number, payload protocol


def _table() -> tuple[int, ...]:
    out = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        out.append(value)
    return tuple(out)


_CRC: Final = _table()


def crc32c(data: bytes) -> int:
    """Castagnoli's CRC (RFC 9260 appendix A); stored in the packet in little-endian order."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class BadPacketError(ValueError):
    """Not an SCTP packet that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Chunk:
    kind: int
    body: bytes = b""
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Packet:
    """A common header and its chunks."""

    src_port: int
    dst_port: int
    tag: int
    chunks: tuple[Chunk, ...]

    def encode(self) -> bytes:
        parts = [_HEADER.pack(self.src_port, self.dst_port, self.tag, 0)]
        for chunk in self.chunks:
            parts.append(_CHUNK.pack(chunk.kind, chunk.flags, 4 + len(chunk.body)))
            parts.append(chunk.body + bytes(-len(chunk.body) % 4))
        raw = b"".join(parts)
        return raw[:8] + struct.pack("<I", crc32c(raw)) + raw[12:]

    def chunk(self, kind: int) -> Chunk | None:
        return next((c for c in self.chunks if c.kind == kind), None)


def decode(raw: bytes) -> Packet:
    """Raises BadPacketError when it is cut short or its checksum is wrong."""
    if len(raw) < 16:
        raise BadPacketError(f"{len(raw)} bytes are too few for SCTP")
    src, dst, tag, _ = _HEADER.unpack_from(raw)
    if struct.unpack_from("<I", raw, 8)[0] != crc32c(raw[:8] + bytes(4) + raw[12:]):
        raise BadPacketError("the checksum is wrong")
    chunks, at = [], 12
    while at < len(raw):
        if at + 4 > len(raw):
            raise BadPacketError("a chunk header is cut short")
        kind, flags, length = _CHUNK.unpack_from(raw, at)
        if length < 4 or at + length > len(raw):
            raise BadPacketError(f"chunk {kind} has length {length} where {len(raw) - at} bytes are left")
        chunks.append(Chunk(kind, raw[at + 4 : at + length], flags))
        at += length + -length % 4
    return Packet(src, dst, tag, tuple(chunks))


def init(kind: int, tag: int, tsn: int, cookie: bytes = b"") -> Chunk:
    """INIT, or INIT ACK with its cookie."""
    body = _INIT.pack(tag, WINDOW_BYTES, 1, 1, tsn)
    return Chunk(kind, body + (struct.pack("!HH", STATE_COOKIE, 4 + len(cookie)) + cookie if cookie else b""))


def read_init(chunk: Chunk) -> tuple[int, int, bytes]:
    """Initiate tag, initial TSN and the cookie (empty without). Raises BadPacketError."""
    if len(chunk.body) < _INIT.size:
        raise BadPacketError("an INIT is cut short")
    tag, _, _, _, tsn = _INIT.unpack_from(chunk.body)
    if tag == 0:
        raise BadPacketError("an INIT without a tag")
    at, cookie = _INIT.size, b""
    while at + 4 <= len(chunk.body):
        kind, length = struct.unpack_from("!HH", chunk.body, at)
        if length < 4:
            raise BadPacketError("a parameter of an INIT is too short")
        if kind == STATE_COOKIE:
            cookie = chunk.body[at + 4 : at + length]
        at += length + -length % 4
    return tag, tsn, cookie


def data(tsn: int, payload: bytes) -> Chunk:
    """A whole message on stream 0."""
    return Chunk(DATA, _DATA.pack(tsn, 0, 0, 0) + payload, flags=3)


def read_data(chunk: Chunk) -> tuple[int, bytes]:
    """TSN and payload. Raises BadPacketError."""
    if len(chunk.body) <= _DATA.size:
        raise BadPacketError("a DATA without data")
    return _DATA.unpack_from(chunk.body)[0], chunk.body[_DATA.size :]


def sack(tsn: int) -> Chunk:
    """Everything up to `tsn` has arrived."""
    return Chunk(SACK, struct.pack("!IIHH", tsn, WINDOW_BYTES, 0, 0))
