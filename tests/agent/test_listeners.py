"""Accepting sockets from the kernel's own tables."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from eastwest.agent.listeners import parse_tcp, parse_udp, read

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 0100007F:C350 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 0 10 -1
   3: 00000000:9999 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
"""
UDP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   1: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000
   2: 00000000000000000000000001000000:1234 00000000000000000000000001000000:0035 01 00000000:00000000
"""


def test_tcp_listeners_come_first() -> None:
    assert parse_tcp(TCP) == {8080, 80}


def test_udp_bound_and_not_connected() -> None:
    assert parse_udp(UDP6) == {53}


def test_this_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        found = read(os.getpid())
        assert found is not None
        assert {(6, 0), (17, 0), (6, tcp.getsockname()[1])} <= found
        assert (17, udp.getsockname()[1]) not in found  # the kernel picked it: it may be a client's


def test_a_process_that_ended(tmp_path: Path) -> None:
    assert read(4_000_000) is None


@given(st.text(alphabet="0123456789ABCDEF: \n", max_size=300))
def test_damaged_tables(text: str) -> None:
    for parse in (parse_tcp, parse_udp):
        try:
            parse("header\n" + text)
        except ValueError:
            continue
