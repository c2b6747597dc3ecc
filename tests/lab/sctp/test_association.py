"""SCTP as bytes: both ends talk until each believes the other, and neither believes anybody else."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.lab.sctp import packet as sctp
from eastwest.lab.sctp.association import Client, Stack
from eastwest.lab.sctp.packet import BadPacketError, Chunk, Packet, crc32c, decode


def converse(client: Client, stack: Stack, peer: str = "10.0.0.1") -> list[bytes]:
    """Carry packets until both fall silent; the payloads that the client got."""
    found = []
    while client.pending is not None:
        answer = stack.take(client.pending, peer)
        if answer is None:
            break
        found += client.take(answer)
    return found


def test_crc32c_is_that_of_rfc_3720() -> None:  # appendix B.4 of RFC 3720 has the vectors
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


@given(st.lists(st.builds(Chunk, st.integers(0, 255), st.binary(max_size=40), st.integers(0, 255)), min_size=1))
def test_a_packet_survives_the_wire(chunks: list[Chunk]) -> None:
    packet = Packet(1, 65535, 7, tuple(chunks))
    assert decode(packet.encode()) == packet


@given(st.binary(max_size=80))
def test_rubbish_is_refused_not_believed(raw: bytes) -> None:
    with pytest.raises(BadPacketError):
        decode(raw)
    summed = raw[:8] + struct.pack("<I", crc32c(raw[:8] + bytes(4) + raw[12:])) + raw[12:]
    if len(raw) >= 12:
        Stack([80]).take(summed, "10.0.0.1")
        Client(80, 80).take(summed)


def test_four_packets_open_an_association_and_messages_come_back() -> None:
    client, stack = Client(40000, 80), Stack([80])
    assert converse(client, stack) == []
    assert client.established
    for text in (b"one", b"two"):
        client.message(text)
        assert converse(client, stack) == [text]


def test_a_closed_port_says_so_unless_it_may_be_anothers() -> None:
    client = Client(40000, 81)
    converse(client, Stack([80]))
    assert client.refused
    assert not client.established
    silent = Client(40000, 81)
    assert silent.pending is not None
    assert Stack([80], refuses=False).take(silent.pending, "10.0.0.1") is None


def test_a_cookie_is_only_good_for_whom_it_was_made() -> None:
    client, stack = Client(40000, 80), Stack([80])
    assert client.pending is not None
    answer = stack.take(client.pending, "10.0.0.1")
    assert answer is not None
    client.take(answer)
    echo = client.pending
    assert echo is not None
    assert stack.take(echo, "10.0.0.2") is None
    assert Stack([80]).take(echo, "10.0.0.1") is None
    assert stack.take(replace(decode(echo), tag=1).encode(), "10.0.0.1") is None
    assert stack.take(echo, "10.0.0.1") is not None


def test_after_an_abort_nothing_is_echoed() -> None:
    client, stack = Client(40000, 80), Stack([80])
    converse(client, stack)
    assert stack.take(client.end(), "10.0.0.1") is None
    client.message(b"late")
    assert converse(client, stack) == []


def test_only_the_peers_tag_can_end_an_association() -> None:
    client, stack = Client(40000, 80), Stack([80])
    converse(client, stack)
    assert client.take(Packet(80, 40000, 1, (Chunk(sctp.ABORT),)).encode()) == []
    assert not client.refused
