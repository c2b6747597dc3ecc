"""A node that enforces, on real packets: two pods, another node behind its uplink, Services by nft. Names begin with ewt-.

    pod a ── v-a ┐                      ┌ 192.168.50.2, an outside client
                 ├ node ─ uplink ─ eth0 ── far
    pod b ── v-b ┤  192.168.50.1        └ 10.1.0.5 and fd01::5, a pod of another node
    pod c ── v-c ┘

The flow object is at v-a and v-b, the forward object in the node's namespace. Nobody looks at v-c.
"""

from __future__ import annotations

import ctypes
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bpf.factories_net import Actor, cgroup, namespaces, nft, sh
from bpf.flow_bench import Row, rows
from bpf.policy_bench import ALLOW, DENY, ISOLATED, Plan, Rule, pod, tables_of
from eastwest.agent.attach import Hook
from eastwest.agent.edges import Edges, from_records, merge
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.policy.forward import ForwardHook
from eastwest.agent.sizes import Sizes
from eastwest.model.plan import IdentityKind, Mode

A, B, FAR, CLIENT, NODE, GATEWAY = "10.0.0.1", "10.0.0.2", "10.1.0.5", "192.168.50.2", "192.168.50.1", "169.254.1.1"
A6, B6, FAR6 = "fd00::1", "fd00::2", "fd01::5"
C, C6 = "10.0.0.3", "fd00::3"
HERE, ELSEWHERE, MYSELF, DNS = "10.96.0.10", "10.96.0.11", "10.96.0.12", "10.96.0.13"  # Services
HERE6, ELSEWHERE6 = "fd96::10", "fd96::11"
IS_A, IS_B, IS_FAR, IS_CLIENT, IS_SERVICE, IS_WORLD = 1, 2, 3, 4, 5, 6
OF_A, OF_B = 100, 200  # tables and rows of each pod begin here

_RULES = f"""
table ip services {{
  chain in {{ type nat hook prerouting priority -100;
    ip daddr {HERE} tcp dport 80 dnat to {B}:8080
    ip daddr {ELSEWHERE} tcp dport 80 dnat to {FAR}:8080
    ip daddr {MYSELF} tcp dport 80 dnat to {A}:8080
    ip daddr {DNS} udp dport 53 dnat to {FAR}:9000 comment "dns"
    ip daddr {NODE} tcp dport 30080 meta mark set 1 dnat to {B}:8080
    ip daddr {NODE} tcp dport 30081 dnat to {B}:8080
    ip daddr {NODE} udp dport 30053 meta mark set 1 dnat to {B}:9000
  }}
  chain out {{ type nat hook postrouting priority 100;
    ip saddr {A} ip daddr {A} masquerade
    meta mark 1 masquerade
  }}
}}
table ip6 services {{
  chain in {{ type nat hook prerouting priority -100;
    ip6 daddr {HERE6} tcp dport 80 dnat to [{B6}]:8080
    ip6 daddr {ELSEWHERE6} tcp dport 80 dnat to [{FAR6}]:8080
  }}
}}
"""
_BEHAVIOUR = """
import errno, threading
def family(host): return socket.AF_INET6 if ":" in host else socket.AF_INET
def serve_tcp(port, host="::"):
    s = socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    def talk(c):
        try:
            while data := c.recv(65536): c.sendall(data)
        except OSError: pass
        c.close()
    def run():
        while True:
            c, peer = s.accept()
            threading.Thread(target=talk, args=(c,), daemon=True).start()
    threading.Thread(target=run, daemon=True).start()
def serve_udp(host, port):
    s = socket.socket(family(host), socket.SOCK_DGRAM); s.bind((host, port))
    def run():
        while True:
            data, peer = s.recvfrom(65536); s.sendto(data, peer)
    threading.Thread(target=run, daemon=True).start()
def tcp(host, port, seconds=0.4):
    s = socket.socket(family(host)); s.settimeout(seconds)
    try:
        s.connect((host, port)); s.sendall(b"hello"); return "ok" if s.recv(5) == b"hello" else "closed"
    except TimeoutError: return "timeout"
    except OSError as e: return errno.errorcode[e.errno]
    finally: s.close()
def udp(host, port, size=5, seconds=0.4, s=None):
    own = s is None; s = s or socket.socket(family(host), socket.SOCK_DGRAM); s.settimeout(seconds)
    try:
        s.connect((host, port)); s.send(bytes(size)); return "ok" if len(s.recv(65536)) == size else "short"
    except TimeoutError: return "timeout"
    except OSError as e: return errno.errorcode[e.errno]
    finally:
        if own: s.close()
"""


_numbers = itertools.count()
_SERVED = {"a": (A, A6), "b": (B, B6), "c": (C, C6), "far": (FAR, FAR6, CLIENT)}


@dataclass
class Lab:
    """`a`, `b`, `far`, `node`: processes in the namespaces that run code."""

    kernel: FlowKernel
    forward: ForwardHook
    names: dict[str, str]
    actors: dict[str, Actor]
    ifindex: dict[str, int]

    def __post_init__(self) -> None:
        self.tables = tables_of(self.kernel)

    def put(self, plan: Plan) -> None:
        self.tables.switch(plan.wanted(), plan.stance)

    def asks(self, who: str, what: str) -> Any:
        """The value of an expression over there."""
        return self.actors[who].do(f"result = {what}")

    def plan(
        self,
        egress: dict[int, tuple[Rule, ...]] | None = None,
        ingress: dict[int, tuple[Rule, ...]] | None = None,
        mode: Mode = Mode.ENFORCE,
    ) -> Plan:
        """`egress`: rules of pod a by the peer's identity, `ingress`: of pod b. None: that one is not isolated."""
        rows, cells = {}, {}
        for base, table, rules in ((OF_A, 1, egress), (OF_B, 2, ingress)):
            for peer, found in (rules or {}).items():
                rows[base + peer] = ((-1, -1, DENY, 900), *found)
                cells[table, peer] = base + peer
        a = pod(self.ifindex["a"], (A, A6), mode=mode)
        b = pod(self.ifindex["b"], (B, B6), mode=mode)
        if egress is not None:
            a = replace(a, egress=replace(a.egress, row=ISOLATED))
        if ingress is not None:
            b = replace(b, ingress=replace(b.ingress, row=ISOLATED))
        return Plan(_IDENTITIES, rows, cells, (a, b), own=(NODE, GATEWAY, "fe80::1", "fd50::1"))

    def records(self) -> list[Row]:
        """Everything since the last call."""
        parts: list[Edges] = []
        self.kernel.drain(self.kernel.turn(), lambda found: parts.append(from_records(found)), carry=False)
        return rows(merge(parts))

    def close(self) -> None:
        self.tables.close()
        self.forward.close()


_IDENTITIES = {
    "0.0.0.0/0": (IS_WORLD, IdentityKind.OTHER),
    "::/0": (IS_WORLD, IdentityKind.OTHER),
    "10.96.0.0/16": (IS_SERVICE, IdentityKind.OTHER),
    "fd96::/64": (IS_SERVICE, IdentityKind.OTHER),
    A: (IS_A, IdentityKind.POD),
    A6: (IS_A, IdentityKind.POD),
    B: (IS_B, IdentityKind.POD),
    B6: (IS_B, IdentityKind.POD),
    FAR: (IS_FAR, IdentityKind.POD),
    FAR6: (IS_FAR, IdentityKind.POD),
    CLIENT: (IS_CLIENT, IdentityKind.OTHER),
}
EVERYTHING: Rule = (-1, -1, ALLOW, 1)


@contextmanager
def inside(netns: str) -> Iterator[None]:
    """This thread in a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        assert libc.setns(there, 0) == 0
        yield
    finally:
        assert libc.setns(before, 0) == 0
        os.close(there)
        os.close(before)


def _wire(names: dict[str, str]) -> None:
    node = names["node"]
    for name, v4, v6 in (("a", A, A6), ("b", B, B6), ("c", C, C6)):
        sh(f"ip link add eth0 netns {names[name]} type veth peer name v-{name} netns {node}")
        for command in (f"addr add {GATEWAY}/32 dev v-{name}", f"-6 addr add fe80::1/64 dev v-{name} nodad"):
            sh(f"ip {command}", netns=node)
        sh(f"ip link set v-{name} up", netns=node)
        for command in (f"addr add {v4}/32 dev eth0", f"-6 addr add {v6}/128 dev eth0 nodad", "link set eth0 up"):
            sh(f"ip {command}", netns=names[name])
        sh(f"ip route add {GATEWAY} dev eth0 scope link", netns=names[name])
        sh(f"ip route add default via {GATEWAY} dev eth0", netns=names[name])
        sh("ip -6 route add default via fe80::1 dev eth0", netns=names[name])
        sh(f"ip route add {v4}/32 dev v-{name}", netns=node)
        sh(f"ip -6 route add {v6}/128 dev v-{name}", netns=node)
    sh(f"ip link add uplink netns {node} type veth peer name eth0 netns {names['far']}")
    for netns, link, v4, v6 in ((node, "uplink", NODE, "fd50::1"), (names["far"], "eth0", CLIENT, "fd50::2")):
        sh(f"ip addr add {v4}/24 dev {link}", netns=netns)
        sh(f"ip -6 addr add {v6}/64 dev {link} nodad", netns=netns)
        sh(f"ip link set {link} up", netns=netns)
    for address in (f"addr add {FAR}/32 dev lo", f"-6 addr add {FAR6}/128 dev lo"):
        sh(f"ip {address}", netns=names["far"])
    sh(f"ip route add 10.0.0.0/24 via {NODE}", netns=names["far"])
    sh("ip -6 route add fd00::/64 via fd50::1", netns=names["far"])
    sh(f"ip route add {FAR} via {CLIENT}", netns=node)
    sh(f"ip -6 route add {FAR6} via fd50::2", netns=node)
    for setting in ("ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1", "ipv4.conf.all.rp_filter=0"):
        sh(f"sysctl -qw net.{setting}", netns=node)
    nft(node, _RULES)


@contextmanager
def lab(sizes: Sizes | None = None) -> Iterator[Lab]:
    """Servers: TCP 8080, 8081 and UDP 9000, 9001 in a, b and far."""
    number = next(_numbers)
    kinds = [f"p{number}{kind}" for kind in ("node", "a", "b", "c", "far")]
    with namespaces(*kinds) as made, cgroup(f"policy{number}") as group:
        names = dict(zip(("node", "a", "b", "c", "far"), made, strict=True))
        _wire(names)
        actors = {name: Actor(netns, group) for name, netns in names.items()}
        kernel = FlowKernel(sizes or Sizes(4096, 64, 1024), enforcing=True)
        hooks: list[Hook] = []
        try:
            for name in actors:
                actors[name].do(_BEHAVIOUR)
                for address in _SERVED.get(name, ()):
                    actors[name].do(f"for p in (9000, 9001): serve_udp({address!r}, p)")
                if name in _SERVED:
                    actors[name].do("for p in (8080, 8081): serve_tcp(p)")
            with inside(names["node"]):
                ifindex: dict[str, int] = {}
                for name, link in (("c", "v-c"), ("uplink", "uplink"), ("a", "v-a"), ("b", "v-b")):
                    ifindex[name] = int(sh(f"cat /sys/class/net/{link}/ifindex", netns=names["node"]))
                for name in ("a", "b"):
                    kernel.add_interface(ifindex[name], held=False)
                    hooks.extend(kernel.attach(ifindex[name]))
                forward = ForwardHook(kernel)
            found = Lab(kernel, forward, names, actors, ifindex)
            try:
                yield found
            finally:
                found.close()
        finally:
            for hook in hooks:
                hook.remove()
            kernel.close()
            for actor in actors.values():
                actor.close()
