"""Accepting sockets from the kernel's own tables."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.netlab import node
from eastwest.agent import sockdiag
from eastwest.agent.listeners import parse_tcp, parse_udp, read, read_proc

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


def test_both_ways_say_the_same() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as tcp6,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.socket(type=socket.SOCK_DGRAM) as automatic,
    ):
        udp.bind(("127.0.0.1", 10_053))
        automatic.bind(("127.0.0.1", 0))
        expected = {(6, tcp.getsockname()[1]), (6, tcp6.getsockname()[1]), (17, 10_053)}
        for found in (read(os.getpid()), read_proc(os.getpid())):
            assert found is not None
            assert {(6, 0), (17, 0)} | expected <= found
            assert (17, automatic.getsockname()[1]) not in found  # the kernel picked it: it may be a client's


@pytest.mark.root
def test_sockets_of_another_namespace() -> None:
    with node() as net:
        a = net.pod("a")
        a.server(8080)
        a.server(5353, kind="udp", family=6)
        home = os.stat("/proc/thread-self/ns/net").st_ino  # noqa: PTH116
        assert sockdiag.read(a.processes[-1].pid) == {(6, 8080), (17, 5353)}
        assert os.stat("/proc/thread-self/ns/net").st_ino == home  # noqa: PTH116 - back where we were


def test_a_process_that_ended() -> None:
    assert read(4_000_000) is None


@given(st.text(alphabet="0123456789ABCDEF: \n", max_size=300))
def test_damaged_tables(text: str) -> None:
    for parse in (parse_tcp, parse_udp):
        try:
            parse("header\n" + text)
        except ValueError:
            continue
