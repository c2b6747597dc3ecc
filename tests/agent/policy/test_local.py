"""Which pods are where, what the node says about itself, and which links are known to be no pod's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.netlab import Node, wait_for
from eastwest.agent.interfaces import Interface, State
from eastwest.agent.netlink import Link
from eastwest.agent.pods import PodProcess
from eastwest.agent.policy import local, surroundings
from eastwest.agent.policy.local import Announced, Bound
from eastwest.model.plan import Mode, Posture, Side
from wire.factories_plan import make_plan

OFF = Side(Mode.OFF, 0, 0)


def interface(index: int, uid: str | None = None, state: State = State.LIVE, *, hooked: bool = True) -> Interface:
    pod = PodProcess(uid, 1) if uid else None
    return Interface(Link(index, f"v{index}", 1), 0.0, state, pod, hooks=(5, 6) if hooked else ())


def test_hooked_interfaces_of_known_pods_are_bound() -> None:
    gone = interface(9, "u9")
    gone.gone = True
    found = local.bindings(
        [interface(3, "u3"), interface(2, "u2"), interface(4), interface(5, "u5", hooked=False), gone, interface(6),
         interface(7, "u7", State.IGNORED), interface(8, "u8")],
        {6: Announced("u6", "shop", "x", ("10.0.0.6",))},
        frozenset({8}),
        lambda i: ("10.0.0.3",) if i.ifindex == 3 else (),
    )  # fmt: skip
    assert found == (Bound(2, "u2"), Bound(3, "u3", "", ("10.0.0.3",)), Bound(6, "u6", "shop", ("10.0.0.6",)))


def test_what_holds_for_each() -> None:
    plan = make_plan(unknown_mode=Mode.ENFORCE, posture=Posture.DENY)
    pods, interface_of = local.local_pods(
        plan, (Bound(2, "u1"), Bound(3, "new"), Bound(4, "newer", "shop", ("10.0.0.7",)), Bound(5, "newest", "bank"))
    )
    by_index = {p.ifindex: (p.egress, p.ingress) for p in pods}
    assert by_index[2] == (plan.pods[0].egress, plan.pods[0].ingress)
    assert by_index[3] == (Side(Mode.ENFORCE, 0, 0),) * 2
    assert by_index[4] == (Side(Mode.AUDIT, 0, 0), OFF)  # its namespace's modes, as the plan's pods have them
    assert by_index[5] == (Side(Mode.ENFORCE, 0, 0),) * 2
    assert interface_of == {"10.0.0.1": 2, "10.0.0.2": 0, "fd00::2": 0, "10.0.0.7": 4}
    without, _ = local.local_pods(plan, (Bound(2, "u2"), Bound(3, "new")), egress=False)
    assert [p.egress for p in without] == [OFF, OFF]
    assert without[1].ingress == Side(Mode.ENFORCE, 0, 0)
    assert local.evaluated(plan, "bank")
    assert not local.evaluated(make_plan(), "bank")


def test_links_that_may_be_pods_are_no_links() -> None:
    uplink, pod, fresh, other = (
        interface(1),
        interface(2, "u"),
        interface(3, state=State.NEW),
        interface(4, state=State.IGNORED),
    )
    links = [(10, "eth0"), (1, "v1"), (2, "v2"), (3, "v3"), (4, "v4")]
    assert surroundings.not_pods([uplink, pod, fresh, other], links, {"v1", "v2"}) == {10, 1, 4}


V4 = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
v-a\t01004D0A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0
"""
V6 = """fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 1 0 00000001 cni0
fd770000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 1 0 00000001 v-a
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 1 0 00000001 v-a
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 1 0 00000001 v-a
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 1 0 00200200 lo
"""


def test_routes_to_networks() -> None:
    assert surroundings.networked(V4, V6) == {"eth0", "cni0"}


@pytest.mark.root
def test_a_pods_own_addresses_are_found_in_its_namespace(net: Node) -> None:
    pod = net.pod("a")
    process = pod.processes[0]
    wait_for(
        lambda: Path(f"/proc/{process.pid}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino,
        "it is inside",
    )
    assert surroundings.pod_addresses(process.pid) == (pod.ipv4, pod.ipv6)
    process.kill()
    process.wait()
    assert surroundings.pod_addresses(process.pid) == ()


@pytest.mark.root
def test_news_of_addresses_and_links(net: Node) -> None:
    code = (
        "import select, subprocess, sys\n"
        "from eastwest.agent.policy import surroundings as s\n"
        "n = s.News(); p = select.poll(); p.register(n, 1)\n"
        "assert not p.poll(0)\n"
        "for words in ('add d0 type veth peer name d1', 'set d1 up', 'set d0 up'):\n"
        "    subprocess.run(['ip', 'link', *words.split()], check=True)\n"
        "assert p.poll(5000); n.drain(); n.drain()\n"
        "subprocess.run(['ip', 'addr', 'add', '192.0.2.7/32', 'dev', 'd0'], check=True)\n"
        "assert p.poll(5000); n.drain()\n"
        "while 'fe80:' not in ','.join(s.own_addresses()): p.poll(5000); n.drain()\n"
        "print(','.join(s.own_addresses()), [name for _, name in s.links()])\n"
    )
    done = subprocess.run(
        ["ip", "netns", "exec", net.netns, sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "192.0.2.7" in done.stdout
    assert "fe80:" in done.stdout
    assert "'d0'" in done.stdout
