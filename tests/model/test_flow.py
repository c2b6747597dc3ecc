"""Addresses and protocols survive the way to 16 bytes and back."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.model.flow import ip_bytes, ip_from_bytes, protocol_name, protocol_number


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None))
def test_an_address_comes_back(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert ip_from_bytes(ip_bytes(address)) == address
    assert ip_bytes(str(address)) == ip_bytes(address)


def test_ipv4_is_mapped() -> None:
    assert ip_bytes("10.1.2.3").hex() == "00000000000000000000ffff0a010203"


@given(st.integers(0, 255))
def test_a_protocol_comes_back(number: int) -> None:
    assert protocol_number(protocol_name(number)) == number


@pytest.mark.parametrize("word", ["", "tcpp", "256", "-1"])
def test_an_unknown_protocol_is_named(word: str) -> None:
    with pytest.raises(ValueError, match="unknown protocol"):
        protocol_number(word)
