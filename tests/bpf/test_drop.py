"""The drop object on packets that really were dropped, and the kernel's own word for why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bpf.factories_net import Actor, cgroup, join_by_veth, namespaces, nft, wait_for
from eastwest.agent.drop.hook import DropHook, open_or_status
from eastwest.agent.drop.ledger import DROP
from eastwest.agent.drop.record import Flag
from eastwest.model.flow import ip_bytes

pytestmark = pytest.mark.root


@dataclass
class World:
    client: Actor
    server: Actor
    client_ns: str
    server_ns: str


def inode(netns: str) -> int:
    return Path(f"/run/netns/{netns}").stat().st_ino


@pytest.fixture
def world() -> Iterator[World]:
    with cgroup("drop") as group, namespaces("dc", "ds") as (client_ns, server_ns):
        join_by_veth(client_ns, server_ns)
        client, server = Actor(client_ns, group), Actor(server_ns, group)
        try:
            yield World(client, server, client_ns, server_ns)
        finally:
            client.close()
            server.close()


@pytest.fixture
def hook(world: World) -> Iterator[DropHook]:
    hook = DropHook()
    try:
        hook.watch([inode(world.client_ns), inode(world.server_ns)])
        yield hook
    finally:
        hook.close()


def collect_until(hook: DropHook, wanted: Callable[[np.ndarray], bool]) -> np.ndarray:
    everything = [np.empty(0, DROP)]

    def more() -> np.ndarray:
        everything.append(hook.collect())
        return np.concatenate(everything)

    return wait_for(more, wanted)


def by_reason(hook: DropHook, reason: str, drops: np.ndarray) -> np.ndarray:
    return drops[[hook.reason(int(r)) == reason for r in drops["key"]["reason"]]]


def packets(drops: np.ndarray) -> int:
    return int(drops["value"]["packets"].sum())


SEND = """
u = socket.socket({family}, socket.SOCK_DGRAM)
u.bind(({own!r}, 5000))
for _ in range({n}): u.sendto(b"x" * 100, ({host!r}, {port}))
"""


@pytest.mark.parametrize(("host", "own", "header"), [("10.77.0.2", "10.77.0.1", 28), ("fd77::2", "fd77::1", 48)])
def test_a_firewall_s_drops_are_counted_exactly_and_named(
    world: World, hook: DropHook, host: str, own: str, header: int
) -> None:
    nft(
        world.server_ns, "table inet t { chain i { type filter hook input priority 0; udp dport 7000 counter drop; }; }"
    )
    family = "socket.AF_INET6" if ":" in host else "socket.AF_INET"
    world.client.do(SEND.format(family=family, own=own, host=host, n=500, port=7000))

    drops = collect_until(hook, lambda d: packets(by_reason(hook, "netfilter_drop", d)) >= 500)
    ours = by_reason(hook, "netfilter_drop", drops)
    assert packets(ours) == 500
    assert int(ours["value"]["bytes"].sum()) == 500 * (100 + header)
    assert len({bytes(k) for k in ours["key"]}) == 1
    key = ours["key"][0]
    assert (key["netns"], key["ifindex"]) == (inode(world.server_ns), 2)
    assert (bytes(key["src"]), bytes(key["dst"])) == (ip_bytes(own), ip_bytes(host))
    assert (key["src_port"], key["dst_port"], key["protocol"]) == (5000, 7000, 17)
    assert key["flags"] == Flag.PARSED | Flag.PORTS
    assert hook.counters()["lost"] == 0


def test_drops_behind_extension_headers_and_of_an_init_name_their_ports(world: World, hook: DropHook) -> None:
    """A hop-by-hop header and destination options before UDP; and the opening of an SCTP association."""
    rule = "th dport { 7000, 38412 }"
    nft(world.client_ns, f"table inet t {{ chain o {{ type filter hook output priority 0; {rule} drop; }}; }}")
    world.client.do("""
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.bind(("fd77::1", 5000))
padding = bytes([0, 0, 1, 4, 0, 0, 0, 0])
u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, padding)
u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, padding)
raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 132)
init = struct.pack("!HHIIBBHIIHHI", 5001, 38412, 0, 0, 1, 0, 20, 9, 65536, 1, 1, 1)
for send in (lambda: u.sendto(b"x" * 100, ("fd77::2", 7000)), lambda: raw.sendto(init, ("fd77::2", 0))):
    try: send()
    except PermissionError: pass  # the local firewall's word for it
u.close(); raw.close()
""")
    drops = collect_until(hook, lambda d: packets(by_reason(hook, "netfilter_drop", d)) >= 2)
    found = {
        (int(k["protocol"]), int(k["src_port"]), int(k["dst_port"]), int(k["flags"]))
        for k in by_reason(hook, "netfilter_drop", drops)["key"]
    }
    read = Flag.PARSED | Flag.PORTS
    assert found == {(17, 5000, 7000, read), (132, 0, 38412, read | Flag.TO_SERVER)}


def test_a_dropped_syn_names_the_server_s_port_only(world: World, hook: DropHook) -> None:
    nft(world.client_ns, "table inet t { chain o { type filter hook output priority 0; tcp dport 81 drop; }; }")
    world.client.do("""
for _ in range(3):
    s = socket.socket(); s.settimeout(0.05)
    try: s.connect(("10.77.0.2", 81))
    except OSError: pass
    s.close()
""")
    drops = collect_until(hook, lambda d: packets(by_reason(hook, "netfilter_drop", d)) >= 3)
    (key,) = {k.tobytes() for k in by_reason(hook, "netfilter_drop", drops)["key"]}
    (key,) = np.frombuffer(key, DROP["key"])
    assert (key["src_port"], key["dst_port"]) == (0, 81)
    assert key["flags"] & Flag.TO_SERVER
    assert key["owner_netns"] == inode(world.client_ns)


def test_no_socket_is_told_apart_from_a_full_one(world: World, hook: DropHook) -> None:
    world.server.do("""
full = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
full.bind(("10.77.0.2", 7001))
""")
    world.client.do(SEND.format(family="socket.AF_INET", own="10.77.0.1", host="10.77.0.2", n=1, port=7002))
    world.client.do("u.close()")
    world.client.do(SEND.format(family="socket.AF_INET", own="10.77.0.1", host="10.77.0.2", n=50, port=7001))
    drops = collect_until(hook, lambda d: packets(by_reason(hook, "socket_rcvbuff", d)) > 40)
    assert set(by_reason(hook, "no_socket", drops)["key"]["dst_port"].tolist()) == {7002}
    assert set(by_reason(hook, "socket_rcvbuff", drops)["key"]["dst_port"].tolist()) == {7001}


def test_other_namespaces_do_not_count(world: World, hook: DropHook) -> None:
    hook.watch([inode(world.client_ns)])
    nft(
        world.server_ns, "table inet t { chain i { type filter hook input priority 0; udp dport 7000 counter drop; }; }"
    )
    world.client.do(SEND.format(family="socket.AF_INET", own="10.77.0.1", host="10.77.0.2", n=20, port=7000))
    hook.watch([inode(world.client_ns), inode(world.server_ns)])
    world.client.do("u.sendto(b'x' * 100, ('10.77.0.2', 7000))")
    drops = collect_until(hook, lambda d: packets(by_reason(hook, "netfilter_drop", d)) >= 1)
    assert packets(by_reason(hook, "netfilter_drop", drops)) == 1


def test_a_full_map_counts_without_addresses(world: World) -> None:
    hook = DropHook(entries=16)
    try:
        hook.watch([inode(world.server_ns)])
        nft(world.server_ns, "table inet t { chain i { type filter hook input priority 0; udp dport != 0 drop; }; }")
        world.client.do("""
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in range(10000, 10200): u.sendto(b"x", ("10.77.0.2", port))
""")
        drops = collect_until(hook, lambda d: packets(by_reason(hook, "netfilter_drop", d)) >= 200)
        ours = by_reason(hook, "netfilter_drop", drops)
        assert packets(ours) == 200
        coarse = ours[(ours["key"]["flags"] & Flag.PARSED) == 0]
        assert packets(coarse) == hook.counters()["coarse"] > 0
        assert hook.counters()["lost"] == 0
    finally:
        hook.close()


ECHO = """
import struct
echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
for number in range(60):
    words = (8 << 8, 0, 77, number)
    echo.sendto(struct.pack("!4H", words[0], 0xFFFF - sum(words), *words[2:]), ("10.77.0.2", 0))
    echo.recv(64)
"""


def test_what_a_socket_had_accepted_takes_no_room_from_what_was_lost(world: World) -> None:
    hook = DropHook(entries=16)
    try:
        hook.watch([inode(world.server_ns)])
        world.server.do("unread = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)")
        world.client.do(ECHO)  # answered, so that socket has it, too
        world.server.do("unread.close()")
        drops = collect_until(hook, lambda d: packets(by_reason(hook, "queue_purge", d)) >= 60)
        ours = by_reason(hook, "queue_purge", drops)
        assert packets(ours) == 60
        assert int(ours["value"]["bytes"].sum()) == 60 * 28
        assert set(ours["key"]["owner_netns"].tolist()) == {inode(world.server_ns)}
        assert set(ours["key"]["protocol"].tolist()) == {1}
        assert not ours["key"]["flags"].any()
        assert not hook.losses(ours).any()
        assert hook.counters()["coarse"] == hook.counters()["lost"] == 0
    finally:
        hook.close()


def test_quiet_entries_leave_the_map_and_come_back_from_zero(world: World, hook: DropHook) -> None:
    nft(world.server_ns, "table inet t { chain i { type filter hook input priority 0; udp dport 7000 drop; }; }")
    seen = 0
    for round_ in range(1, 4):
        world.client.do(SEND.format(family="socket.AF_INET", own="10.77.0.1", host="10.77.0.2", n=10, port=7000))
        world.client.do("u.close()")
        seen += packets(by_reason(hook, "netfilter_drop", collect_until(
            hook, lambda d: packets(by_reason(hook, "netfilter_drop", d)) >= 10)))  # fmt: skip
        assert seen == round_ * 10
        for _ in range(3):
            assert packets(by_reason(hook, "netfilter_drop", hook.collect())) == 0


def test_the_hook_says_what_it_is() -> None:
    hook, status = open_or_status()
    assert hook is not None
    assert (status.name, status.state) == ("drops", "on")
    assert hook.reason(3) == "no_socket"
    assert hook.reason(7 << 16 | 1) == str(7 << 16 | 1)
    hook.close()
