"""The dns object at a veth, between a resolver and a real DNS server (dnslib) in another namespace."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from bpf.factories_net import Actor, cgroup, join_by_veth, namespaces, wait_for
from eastwest.agent import bpf
from eastwest.agent.dns.hook import DnsHook, open_or_status
from eastwest.agent.dns.transactions import Lookup, Transactions
from eastwest.agent.iterator import in_namespace
from eastwest.model.flow import ip_bytes

pytestmark = pytest.mark.root

SERVER = """
import dnslib, dnslib.server
class Zone:
    def resolve(self, request, handler):
        reply = request.reply()
        name = str(request.q.qname)
        if name.startswith("nowhere"):
            reply.header.rcode = 3
        elif name.startswith("big"):
            for i in range(60): reply.add_answer(*dnslib.RR.fromZone(f"{name} 60 A 192.0.2.{i}"))
        elif request.q.qtype == 28:
            reply.add_answer(*dnslib.RR.fromZone(f"{name} 60 AAAA 2001:db8::5"))
        else:
            reply.add_answer(*dnslib.RR.fromZone(f"{name} 60 CNAME real.example\\nreal.example 60 A 192.0.2.5"))
        return reply
running = [dnslib.server.DNSServer(Zone(), address="::", port=port, tcp=tcp, server=server)
           for port in (53, 5353)
           for tcp, server in ((False, type("U6", (dnslib.server.UDPServer,), {"address_family": socket.AF_INET6})),
                               (True, type("T6", (dnslib.server.TCPServer,), {"address_family": socket.AF_INET6})))]
for one in running: one.start_thread()
"""
ASK = """
import dnslib
def ask(name, host, tcp=False, qtype="A", port=53):
    question = dnslib.DNSRecord.question(name, qtype)
    return dnslib.DNSRecord.parse(question.send(host, port, tcp=tcp, timeout=5, ipv6=":" in host)).header.rcode
"""


@dataclass
class World:
    """The host's end of the wire is in the server's namespace, as a pod's veth is in its node's."""

    pod: Actor
    node: Actor
    pod_ns: str
    node_ns: str


@pytest.fixture
def world() -> Iterator[World]:
    with cgroup("dns") as group, namespaces("dp", "dn") as (pod_ns, node_ns):
        join_by_veth(pod_ns, node_ns)
        pod, node = Actor(pod_ns, group), Actor(node_ns, group)
        try:
            node.do(SERVER)
            pod.do(ASK)
            yield World(pod, node, pod_ns, node_ns)
        finally:
            pod.close()
            node.close()


@contextmanager
def attached(world: World, **options: object) -> Iterator[DnsHook]:
    hook = DnsHook(**options)  # type: ignore[arg-type]
    fd = os.open(f"/run/netns/{world.node_ns}", os.O_RDONLY)
    links: list[int] = []
    try:
        in_namespace(fd, lambda: links.extend(hook.attach(2)))
        yield hook
    finally:
        os.close(fd)
        for link in links:
            os.close(link)
        hook.close()


def lookups(hook: DnsHook, n: int) -> list[Lookup]:
    transactions, found = Transactions(), []

    def more() -> int:
        found.extend(done for done in map(transactions.see, hook.sightings()) if done)
        return len(found)

    wait_for(more, lambda count: count >= n)
    assert transactions.counts.malformed == transactions.counts.unmatched == 0
    return found


@pytest.mark.parametrize(("host", "own"), [("10.77.0.2", "10.77.0.1"), ("fd77::2", "fd77::1")])
@pytest.mark.parametrize("tcp", [False, True])
def test_names_codes_latency_and_answers(world: World, host: str, own: str, tcp: bool) -> None:
    with attached(world) as hook:
        world.pod.do(f"result = [ask('shop.example', {host!r}, {tcp}), ask('nowhere.example', {host!r}, {tcp}),"
                     f"ask('v6.example', {host!r}, {tcp}, 'AAAA')]")  # fmt: skip
        first, second, third = lookups(hook, 3)
        counters = hook.counters()
    assert [(x.name, x.type, x.rcode) for x in (first, second, third)] == [
        ("shop.example", 1, 0), ("nowhere.example", 1, 3), ("v6.example", 28, 0),
    ]  # fmt: skip
    for x in (first, second, third):
        assert (x.client, x.server, x.server_port, x.tcp, x.from_pod) == (ip_bytes(own), ip_bytes(host), 53, tcp, True)
        assert x.latency_ns is not None
        assert 0 < x.latency_ns < 5_000_000_000
    assert [(a.name, a.target, a.address) for a in first.answers] == [
        ("shop.example", "real.example", None), ("real.example", None, ip_bytes("192.0.2.5")),
    ]  # fmt: skip
    assert third.answers[0].address == ip_bytes("2001:db8::5")
    assert counters == {"messages": 6, "lost_ring": 0, "unparsed_tcp": 0, "unparsed_headers": 0}


def test_questions_behind_extension_headers_are_read(world: World) -> None:
    with attached(world) as hook:
        world.pod.do("""
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); u.settimeout(5)
padding = bytes([0, 0, 1, 4, 0, 0, 0, 0])
u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, padding)
u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, padding)
u.sendto(dnslib.DNSRecord.question("far.example").pack(), ("fd77::2", 53)); u.recv(4096)
""")
        (only,) = lookups(hook, 1)
        assert hook.counters()["unparsed_headers"] == 0
    assert only.name == "far.example"


def test_a_long_answer_is_whole(world: World) -> None:
    with attached(world) as hook:
        world.pod.do("ask('big.example', '10.77.0.2', True)")
        (only,) = lookups(hook, 1)
    assert len(only.answers) == 60


def test_other_ports_count_only_when_asked_for(world: World) -> None:
    with attached(world) as hook:
        world.pod.do("ask('shop.example', '10.77.0.2', port=5353); ask('last.example', '10.77.0.2')")
        assert [x.name for x in lookups(hook, 1)] == ["last.example"]
    with attached(world, ports=(53, 5353)) as hook:
        world.pod.do("ask('shop.example', '10.77.0.2', port=5353)")
        (only,) = lookups(hook, 1)
    assert only.server_port == 5353


def test_segments_that_are_not_one_message_are_counted(world: World) -> None:
    with attached(world) as hook:
        world.pod.do("""
payload = bytes(dnslib.DNSRecord.question("split.example").pack())
s = socket.create_connection(("10.77.0.2", 53))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
s.sendall(struct.pack("!H", len(payload)))
time.sleep(0.05)
s.sendall(payload)
result = len(s.recv(4096))
s.close()
""")
        counters = wait_for(hook.counters, lambda c: c["messages"] == 1)  # the answer comes in one segment
    assert counters["unparsed_tcp"] == 2


def test_a_full_ring_is_counted(world: World) -> None:
    with attached(world, ring_bytes=4096) as hook:
        world.pod.do("for i in range(60): ask(f'n{i}.example', '10.77.0.2')")
        counters = hook.counters()
        assert counters["lost_ring"] > 0
        assert counters["messages"] + counters["lost_ring"] == 120
        assert len(list(hook.sightings())) == counters["messages"]


def caller(prog_array: int, slot: int) -> int:
    """A tc program, by hand, that does nothing but tail-call a slot."""

    def insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
        return struct.pack("<BBhi", code, src << 4 | dst, off, imm)

    code = insn(0x18, 2, 1, imm=prog_array) + insn(0) + insn(0xB7, 3, imm=slot) + insn(0x85, imm=12)
    code += insn(0xB7, 0, imm=-1) + insn(0x95)
    instructions, words = np.frombuffer(code, np.uint8).copy(), np.frombuffer(b"GPL\0", np.uint8).copy()
    attr = struct.pack("<IIQQ", 3, len(code) // 8, instructions.ctypes.data, words.ctypes.data)
    return bpf.call(5, attr)  # BPF_PROG_LOAD, BPF_PROG_TYPE_SCHED_CLS


def test_lent_to_another_program_it_sees_the_same(world: World) -> None:
    hook = DnsHook()
    prog_array = bpf.call(bpf.MAP_CREATE, struct.pack("<IIII", 3, 4, 4, 2))
    fds = [prog_array, os.open(f"/run/netns/{world.node_ns}", os.O_RDONLY)]
    try:
        hook.lend(prog_array)
        for slot, direction in ((0, bpf.TCX_INGRESS), (1, bpf.TCX_EGRESS)):
            program = caller(prog_array, slot)
            fds += [program, in_namespace(fds[1], lambda p=program, d=direction: bpf.attach_tcx(p, 2, d))]
        world.pod.do("ask('shop.example', '10.77.0.2')")
        (only,) = lookups(hook, 1)
        assert (only.name, only.from_pod) == ("shop.example", True)
    finally:
        for fd in reversed(fds):
            os.close(fd)
        hook.close()


def test_the_hook_says_what_it_is() -> None:
    hook, status = open_or_status()
    assert hook is not None
    assert (status.name, status.state) == ("dns", "on")
    hook.close()
    with pytest.raises(ValueError, match="at most 4"):
        DnsHook(ports=(1, 2, 3, 4, 5))
