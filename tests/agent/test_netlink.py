"""rtnetlink messages: the kernel's real answers, and anything else."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.netlab import ip, node
from eastwest.agent.netlink import (
    RTM_DELLINK,
    RTM_NEWLINK,
    Link,
    LinkEvents,
    NamespaceIds,
    attributes,
    list_links,
    messages,
    parse_link,
)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def link_body(kind: bytes = b"veth", nsid: int | None = 5, family: int = 0) -> bytes:
    body = (
        struct.pack("=BxHiII", family, 1, 42, 0, 0) + attribute(3, b"v0\0") + attribute(18, attribute(1, kind + b"\0"))
    )
    return body + (attribute(37, struct.pack("=i", nsid)) if nsid is not None else b"")


def test_a_veth_and_its_peers_namespace() -> None:
    event = parse_link(RTM_NEWLINK, link_body())
    assert event is not None
    assert (event.link, event.gone) == (Link(42, "v0", 5), False)
    gone = parse_link(RTM_DELLINK, link_body(nsid=None))
    assert gone is not None
    assert (gone.link.peer_nsid, gone.gone) == (None, True)


def test_other_links_are_no_event() -> None:
    assert parse_link(RTM_NEWLINK, link_body(b"bridge")) is None
    assert parse_link(RTM_NEWLINK, link_body(family=7)) is None  # PF_BRIDGE: a port's event, not a link's
    assert parse_link(3, link_body()) is None
    assert parse_link(RTM_NEWLINK, b"") is None


@given(st.binary(max_size=200), st.integers(0, 100))
def test_any_bytes(data: bytes, kind: int) -> None:
    for _, body in messages(data):
        parse_link(kind, body)
    list(attributes(data, 0, len(data)))
    parse_link(RTM_NEWLINK, data)


@pytest.mark.root
def test_real_links_and_events() -> None:
    import ctypes
    import threading

    failed: list[BaseException] = []

    def inside(netns: str, pod_netns: str, steps: list[str]) -> None:
        """A thread of its own enters the node's namespace; the rest of the process stays where it is."""
        try:
            fd = os.open(f"/run/netns/{netns}", os.O_RDONLY)
            assert ctypes.CDLL(None).setns(fd, 0x40000000) == 0
            os.close(fd)
            events, ids = LinkEvents(), NamespaceIds()
            (found,) = list_links()
            assert found.name == "v-a"
            pod_fd = os.open(f"/run/netns/{pod_netns}", os.O_RDONLY)
            assert ids.find(pod_fd) == found.peer_nsid is not None
            os.close(pod_fd)
            ip("link", "set", "v-a", "down", netns=netns)
            ip("link", "del", "v-a", netns=netns)
            seen = events.read()
            assert [e.gone for e in seen][-1]
            assert {e.link.ifindex for e in seen} == {found.ifindex}
            assert list_links() == []
            events.close()
            ids.close()
        except BaseException as error:
            failed.append(error)

    with node() as net:
        a = net.pod("a")
        thread = threading.Thread(target=inside, args=(net.netns, a.netns, []))
        thread.start()
        thread.join()
    if failed:
        raise failed[0]
