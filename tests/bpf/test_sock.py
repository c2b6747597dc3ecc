"""The sock object on real connections, against the kernel's own counters."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from bpf.factories_net import Actor, cgroup, join_by_veth, namespaces, nft, sh, tcp_counters, wait_for
from eastwest.agent import bpf
from eastwest.agent.iterator import attach_cgroup
from eastwest.agent.sock.hook import SockHook, open_or_status
from eastwest.agent.sock.ledger import INCREMENT
from eastwest.agent.sock.record import Flag, Role
from eastwest.model.flow import ip_bytes

pytestmark = pytest.mark.root

LISTEN = """
server = socket.create_server(("::", 8080), family=socket.AF_INET6, backlog=128, dualstack_ipv6=True)
"""


@dataclass
class World:
    client: Actor
    server: Actor
    client_ns: str
    server_ns: str
    cgroup: Path


@pytest.fixture
def world() -> Iterator[World]:
    with cgroup("sock") as group, namespaces("c", "s") as (client_ns, server_ns):
        join_by_veth(client_ns, server_ns)
        client, server = Actor(client_ns, group), Actor(server_ns, group)
        try:
            server.do(LISTEN)
            yield World(client, server, client_ns, server_ns, group)
        finally:
            client.close()
            server.close()


@pytest.fixture
def hook(world: World) -> Iterator[SockHook]:
    hook = SockHook(world.cgroup)
    try:
        yield hook
    finally:
        hook.close()


class Totals:
    """Increments added up until a condition holds."""

    def __init__(self, hook: SockHook) -> None:
        self.hook = hook
        self.all = np.empty(0, INCREMENT)

    def until(self, wanted: object, seconds: float = 10) -> np.ndarray:
        def more() -> np.ndarray:
            self.all = np.concatenate((self.all, self.hook.collect()))
            return self.all

        return wait_for(more, wanted, seconds)  # type: ignore[arg-type]

    def of(self, role: Role) -> np.ndarray:
        return self.all[self.all["role"] == role]


def closed(n: int) -> object:
    return lambda all_: int(((all_["flags"] & Flag.CLOSED) != 0).sum()) >= n


CONNECT = """
import threading
def run(host, n, port=8080, keep=False):
    for _ in range(n):
        s = socket.create_connection((host, port), timeout=20)
        s.sendall(b"x" * 100); s.shutdown(socket.SHUT_WR)
        while s.recv(65536): pass
        s.close()
"""
SERVE = """
def serve(n, reply=b"y" * 1000):
    for _ in range(n):
        s, _ = server.accept()
        while s.recv(65536): pass
        s.sendall(reply)
        s.close()
import threading
"""


def talk(world: World, host: str, n: int) -> None:
    world.server.do(SERVE + f"\nt = threading.Thread(target=serve, args=({n},)); t.start()")
    world.client.do(CONNECT + f"\nrun({host!r}, {n})")
    world.server.do("t.join(10)")


@pytest.mark.parametrize(("host", "own"), [("10.77.0.2", "10.77.0.1"), ("fd77::2", "fd77::1")])
def test_each_connection_is_counted_once_at_each_end(world: World, hook: SockHook, host: str, own: str) -> None:
    talk(world, host, 20)
    totals = Totals(hook)
    totals.until(closed(40))
    client, server = totals.of(Role.CLIENT), totals.of(Role.SERVER)
    assert (client["attempts"].sum(), client["established"].sum(), client["failures"].sum()) == (20, 20, 0)
    assert (server["attempts"].sum(), server["established"].sum()) == (0, 20)
    assert totals.all["resets"].sum() == totals.all["timeouts"].sum() == totals.all["retransmits"].sum() == 0
    assert len(set(client["cookie"].tolist())) == 20
    assert {bytes(a) for a in client["remote"]} == {bytes(a) for a in server["local"]} == {ip_bytes(host)}
    assert {bytes(a) for a in client["local"]} == {ip_bytes(own)}
    assert set(client["remote_port"].tolist()) == set(server["local_port"].tolist()) == {8080}
    assert set(client["local_port"].tolist()) == set(server["remote_port"].tolist())
    inode = Path(f"/run/netns/{world.client_ns}").stat().st_ino
    assert set(client["netns"].tolist()) == {inode}
    assert set(client["cgroup_id"].tolist()) == {world.cgroup.stat().st_ino}
    assert (client["connect_us"] > 0).all()
    assert (client["rtt_count"] == 1).all()
    assert (client["rtt_histogram"].sum(axis=1) == client["rtt_count"]).all()
    assert (client["rtt_min_us"] <= client["rtt_sum_us"]).all()
    counters = hook.counters()
    assert counters["followed"] == counters["closed_seen"] == 40
    assert sum(v for k, v in counters.items() if k not in ("followed", "closed_seen")) == 0


@pytest.mark.parametrize("host", ["10.77.0.2", "fd77::2"])
def test_retransmissions_equal_the_kernel_s_own_counters(world: World, hook: SockHook, host: str) -> None:
    for netns in (world.client_ns, world.server_ns):
        nft(netns, "table inet t { chain i { type filter hook input priority 0; numgen random mod 100 < 4 drop; }; }")
    before = {netns: tcp_counters(netns) for netns in (world.client_ns, world.server_ns)}
    world.server.do("""
def sink(n):
    for _ in range(n):
        s, _ = server.accept()
        while s.recv(1 << 20): pass
        s.sendall(b"z" * 200000)
        s.close()
import threading
t = threading.Thread(target=sink, args=(30,)); t.start()
""")
    world.client.do(f"""
for _ in range(30):
    s = socket.create_connection(({host!r}, 8080), timeout=60)
    s.sendall(b"x" * 500000); s.shutdown(socket.SHUT_WR)
    while s.recv(1 << 20): pass
    s.close()
""")
    totals = Totals(hook)
    totals.until(closed(60), 90)
    after = {netns: tcp_counters(netns) for netns in before}
    for netns, role in ((world.client_ns, Role.CLIENT), (world.server_ns, Role.SERVER)):
        ours = totals.of(role)
        kernel = {name: after[netns][name] - before[netns][name] for name in ("TcpRetransSegs", "TcpExtTCPTimeouts")}
        assert ours["retransmits"].sum() == kernel["TcpRetransSegs"] > 0
        assert ours["rtos"].sum() == kernel["TcpExtTCPTimeouts"]
    assert totals.all["retransmits"][:, 1].sum() > 0


def test_live_connections_are_reported_and_agree_with_ss(world: World, hook: SockHook) -> None:
    world.client.do('s = socket.create_connection(("10.77.0.2", 8080), timeout=5)')
    world.server.do("s, _ = server.accept()")
    totals = Totals(hook)
    totals.until(lambda all_: all_["established"].sum() == 2)
    for _ in range(5):
        world.client.do('s.sendall(b"ping")')
        world.server.do("s.recv(4); s.sendall(b'pong')")
        world.client.do("s.recv(4)")
    totals.until(lambda all_: all_["rtt_count"].sum() >= 4)
    before = -1
    while before != len(totals.all):  # until nothing moves any more (a delayed acknowledgement): nothing to say
        before = len(totals.all)
        world.client.do("time.sleep(0.1)")
        totals.until(lambda _: True)
    now = totals.of(Role.CLIENT)[-1]
    text = sh("ss -tinH dst 10.77.0.2", netns=world.client_ns)
    minrtt = float(text.split("minrtt:")[1].split()[0])
    assert now["rtt_min_us"] == round(minrtt * 1000)
    world.client.do("s.close()")
    world.server.do("s.close()")
    totals.until(closed(2))
    assert totals.all["resets"].sum() == 0


def test_a_refused_connection(world: World, hook: SockHook) -> None:
    world.client.do("""
s = socket.socket(); s.settimeout(5)
result = s.connect_ex(("10.77.0.2", 9)); s.close()
""")
    totals = Totals(hook)
    (only,) = totals.until(closed(1))
    assert (only["attempts"], only["established"], only["failures"], only["resets"]) == (1, 0, 1, 0)
    assert (only["error"], only["remote_port"], only["role"]) == (111, 9, Role.CLIENT)


def test_a_connection_that_times_out(world: World, hook: SockHook) -> None:
    sh("sysctl -qw net.ipv4.tcp_syn_linear_timeouts=0", netns=world.client_ns)
    nft(world.server_ns, "table inet t { chain i { type filter hook input priority 0; tcp dport 81 drop; }; }")
    before = tcp_counters(world.client_ns)
    world.client.do("""
s = socket.socket(); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
result = s.connect_ex(("10.77.0.2", 81)); s.close()
""")
    totals = Totals(hook)
    totals.until(closed(1))
    only = totals.all
    assert (only["attempts"].sum(), only["failures"].sum(), only["established"].sum()) == (1, 1, 0)
    assert only["error"][-1] == 110
    kernel = tcp_counters(world.client_ns)
    assert only["retransmits"][:, 0].sum() == kernel["TcpRetransSegs"] - before["TcpRetransSegs"] == 1
    assert only["rtos"][:, 0].sum() == kernel["TcpExtTCPTimeouts"] - before["TcpExtTCPTimeouts"]
    assert only["rtt_count"].sum() == 0


def test_a_reset_is_seen_at_both_ends(world: World, hook: SockHook) -> None:
    world.client.do('s = socket.create_connection(("10.77.0.2", 8080), timeout=5)')
    world.server.do("s, _ = server.accept()")
    world.client.do('s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()')
    totals = Totals(hook)
    totals.until(closed(2))
    assert totals.of(Role.CLIENT)["resets"].sum() == 1
    assert totals.of(Role.SERVER)["resets"].sum() == 1
    assert totals.of(Role.SERVER)["error"][-1] == 104
    assert totals.all["failures"].sum() == 0


def test_one_socket_used_twice_is_two_connections(world: World, hook: SockHook) -> None:
    world.client.do("""
s = socket.socket()
first = s.connect_ex(("10.77.0.2", 9))
second = s.connect_ex(("10.77.0.2", 8080))
result = [first, second]
""")
    world.server.do("c, _ = server.accept(); c.close()")
    world.client.do("s.close()")
    totals = Totals(hook)
    totals.until(closed(3))
    client = totals.of(Role.CLIENT)
    assert (client["attempts"].sum(), client["failures"].sum(), client["established"].sum()) == (2, 1, 1)
    assert len(set(client["cookie"].tolist())) == 1


def test_connections_older_than_the_agent_are_adopted_once(world: World) -> None:
    world.client.do('s = socket.create_connection(("10.77.0.2", 8080), timeout=5)')
    world.server.do("s, _ = server.accept()")
    hook = SockHook(world.cgroup)
    try:
        assert hook.collect().size == 0
        for _ in range(2):
            for netns in (world.client_ns, world.server_ns):
                fd = os.open(f"/run/netns/{netns}", os.O_RDONLY)
                hook.adopt(fd)
                os.close(fd)
        assert hook.counters()["followed"] == 2
        first = hook.collect()
        assert first.size == 2
        assert set(first["role"].tolist()) == {Role.UNKNOWN}
        assert ((first["flags"] & Flag.ADOPTED) != 0).all()
        assert first["attempts"].sum() == first["established"].sum() == 0
        # From now on its callbacks fire.
        world.server.do('s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); s.close()')
        totals = Totals(hook)
        totals.until(closed(2))
        assert totals.all["resets"].sum() == 2
    finally:
        hook.close()
        world.client.do("s.close()")


def test_a_full_ring_defers_the_living_and_counts_the_dead(world: World) -> None:
    hook = SockHook(world.cgroup, ring_bytes=4096)
    try:
        world.server.do("kept = []")
        world.client.do("kept = []")
        for _ in range(40):
            world.client.do('kept.append(socket.create_connection(("10.77.0.2", 8080), timeout=5))')
            world.server.do("kept.append(server.accept()[0])")
        totals = Totals(hook)
        totals.until(lambda all_: all_["established"].sum() == 80)
        assert hook.counters()["deferred"] > 0
        for actor in (world.client, world.server):
            actor.do("for s in kept: s.close()")
        wait_for(hook.counters, lambda c: c["closed_seen"] == 80)
        lost = hook.counters()["lost_records"]
        totals.until(closed(80 - lost))
        assert lost > 0
        assert ((totals.all["flags"] & Flag.CLOSED) != 0).sum() == 80 - lost
    finally:
        hook.close()


def test_a_refused_attach_is_reported_with_its_columns(world: World) -> None:
    hook, status = open_or_status(Path("/proc"))
    assert hook is None
    assert status.state == "refused"
    assert "retransmits_syn" in status.columns
    assert status.reason


def other_program() -> tuple[int, int]:
    """Somebody else's sock_ops program, by hand: sets only the RTT flag at connect, counts RTT callbacks in a map."""
    ops = bpf.call(bpf.MAP_CREATE, struct.pack("<IIII", bpf.MAP_TYPE_ARRAY, 4, 8, 1))

    def insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
        return struct.pack("<BBhi", code, src << 4 | dst, off, imm)

    code = b"".join(
        [
            insn(0x61, 2, 1),  # r2 = ctx->op
            insn(0x55, 2, 0, 3, 3),  # not TCP_CONNECT_CB: skip 3
            insn(0xB7, 2, imm=8),  # r2 = BPF_SOCK_OPS_RTT_CB_FLAG
            insn(0x85, imm=59),  # bpf_sock_ops_cb_flags_set(ctx, r2)
            insn(0x05, off=10),  # out
            insn(0x55, 2, 0, 9, 12),  # not RTT_CB: out
            insn(0x62, 10, 0, -4, 0),  # key = 0
            insn(0xBF, 2, 10),
            insn(0x07, 2, imm=-4),
            insn(0x18, 1, 1, imm=ops),
            insn(0),
            insn(0x85, imm=1),  # bpf_map_lookup_elem
            insn(0x15, 0, 0, 2, 0),
            insn(0xB7, 1, imm=1),
            insn(0xDB, 0, 1),  # *r0 += 1, atomically
            insn(0xB7, 0, imm=1),
            insn(0x95),
        ]
    )
    # The attributes are read during the call only: both buffers must live until it returns.
    instructions, words = np.frombuffer(code, np.uint8).copy(), np.frombuffer(b"GPL\0", np.uint8).copy()
    attr = struct.pack("<IIQQ", 13, len(code) // 8, instructions.ctypes.data, words.ctypes.data)
    return bpf.call(5, attr), ops  # BPF_PROG_LOAD, BPF_PROG_TYPE_SOCK_OPS


@pytest.mark.parametrize("other_first", [True, False])
def test_another_program_s_callbacks_go_on_and_so_do_ours(world: World, other_first: bool) -> None:
    program, ops = other_program()
    fds, hook = [program, ops], None
    group = os.open(world.cgroup, os.O_RDONLY)
    try:
        if other_first:
            fds.append(attach_cgroup(program, group, 3))
        hook = SockHook(world.cgroup)
        if not other_first:
            fds.append(attach_cgroup(program, group, 3))
        talk(world, "10.77.0.2", 5)
        totals = Totals(hook)
        totals.until(closed(10))
        assert totals.all["established"].sum() == 10
        seen = np.zeros(1, "<u8")
        bpf.lookup(ops, bytes(4), seen)
        assert seen[0] >= 5
    finally:
        os.close(group)
        for fd in fds:
            os.close(fd)
        if hook is not None:
            hook.close()


def test_nothing_is_lost_or_doubled_while_everything_moves(world: World, hook: SockHook) -> None:
    """Connections of all lengths open and close on both ends while ticks run as fast as they can."""
    n = 2000
    world.server.do(f"""
import threading
def keep(s):
    while s.recv(4096): s.sendall(b"y")
    s.close()
def serve():
    for _ in range({n}): threading.Thread(target=keep, args=(server.accept()[0],), daemon=True).start()
t = threading.Thread(target=serve, daemon=True); t.start()
""")
    world.client.do(f"""
import threading
def talk(k):
    for i in range({n} // 8):
        s = socket.create_connection(("10.77.0.2", 8080))
        for _ in range((i * 7 + k) % 5): s.sendall(b"x"); s.recv(1)
        s.close()
threads = [threading.Thread(target=talk, args=(k,)) for k in range(8)]
for one in threads: one.start()
""")
    totals = Totals(hook)
    totals.until(closed(2 * n), 60)
    world.client.do("for one in threads: one.join()")
    everything = totals.all
    assert ((everything["flags"] & Flag.CLOSED) != 0).sum() == 2 * n
    assert (totals.of(Role.CLIENT)["attempts"].sum(), everything["established"].sum()) == (n, 2 * n)
    assert everything["failures"].sum() == everything["timeouts"].sum() == 0
    counters = hook.counters()
    assert counters["followed"] == counters["closed_seen"] == 2 * n
    assert counters["lost_records"] == counters["lost_storage"] == counters["unfollowed"] == 0
    kernel = tcp_counters(world.client_ns)["TcpRetransSegs"] + tcp_counters(world.server_ns)["TcpRetransSegs"]
    assert everything["retransmits"].sum() == kernel
