"""Ethernet frames, built by hand: what a pod's veth carries. Checksums are left 0; nobody here looks at them."""

from __future__ import annotations

import ipaddress
import struct

SYN, ACK, FIN, RST, PSH = 0x02, 0x10, 0x01, 0x04, 0x08
TCP, UDP, ICMP, ICMPV6, SCTP = 6, 17, 1, 58, 132
DATA, INIT, INIT_ACK, ABORT, COOKIE_ECHO, COOKIE_ACK, SHUTDOWN_COMPLETE = 0, 1, 2, 6, 10, 11, 14
ETHERTYPES = {4: 0x0800, 6: 0x86DD}


def tcp(src_port: int, dst_port: int, flags: int, seq: int = 1, payload: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", src_port, dst_port, seq, 0, 5 << 4, flags, 65535, 0, 0) + payload


def udp(src_port: int, dst_port: int, payload: bytes = b"") -> bytes:
    return struct.pack("!HHHH", src_port, dst_port, 8 + len(payload), 0) + payload


def sctp(src_port: int, dst_port: int, chunk: int, tag: int = 1) -> bytes:
    """With one chunk of 20 bytes (RFC 9260 section 3); `tag` is the initiate tag of an INIT or its answer."""
    head = struct.pack("!HHII", src_port, dst_port, 0 if chunk == INIT else 7, 0)
    return head + struct.pack("!BBHIIHHI", chunk, 0, 20, tag, 65536, 1, 1, 1)


def icmp(kind: int, code: int = 0) -> bytes:
    return struct.pack("!BBHHH", kind, code, 0, 1, 1)


def ethernet(payload: bytes, ethertype: int) -> bytes:
    return b"\x02" * 6 + b"\x04" * 6 + struct.pack("!H", ethertype) + payload


def ip(src: str, dst: str, protocol: int, l4: bytes, *, fragment: int = 0, options: bytes = b"") -> bytes:
    """An IPv4 or IPv6 packet in a frame; `fragment` is the IPv4 flags-and-offset word, `options` the IPv4 options."""
    a, b = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    if a.version == 6:
        head = struct.pack("!IHBB", 6 << 28, len(l4), protocol, 64) + a.packed + b.packed
        return ethernet(head + l4, ETHERTYPES[6])
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 4 << 4 | words, 0, words * 4 + len(l4), 7, fragment, 64, protocol, 0)
    return ethernet(head + a.packed + b.packed + options + l4, ETHERTYPES[4])


def extension(next_header: int, words: int = 0) -> bytes:
    """An IPv6 hop-by-hop, routing or destination options header of 8 * (words + 1) bytes (RFC 8200 section 4.3)."""
    return bytes([next_header, words]) + bytes(6 + 8 * words)


def fragment_header(next_header: int, offset: int, more: bool) -> bytes:
    """RFC 8200 section 4.5; offset in 8-byte units."""
    return struct.pack("!BBHI", next_header, 0, offset << 3 | more, 99)
