"""Plans on real packets: what is denied is denied, changes cut and open, and nothing depends on the server being there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.netlab import Node, Pod, bpffs, ip, wait_for
from agent.policy.planserver import PlanServer
from agent.policy.running import CLOSED_PORT, OPEN_PORT, enforcing, in_force, plan_for, plan_out
from eastwest.model.plan import Mode

pytestmark = pytest.mark.root

TRY = """
import socket
try:
    socket.create_connection(({host!r}, {port}), {timeout}).close(); print("open")
except TimeoutError:
    print("denied")
except ConnectionRefusedError:
    print("refused")
"""

HOLD = """
import socket, sys, time
with socket.create_connection(({host!r}, {port}), 5) as s:
    s.settimeout(0.5)
    while True:
        try:
            s.sendall(b"x"); print("ok" if s.recv(1) else "closed", flush=True)
        except OSError as error:
            print(type(error).__name__, flush=True); s.settimeout(0.5)
        time.sleep(0.02)
"""

PROBE = """
import socket, sys, threading
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
tries = got_in = 0
while not stop.is_set():
    tries += 1
    try:
        socket.create_connection(({host!r}, {port}), 0.1).close(); got_in += 1
    except OSError:
        pass
print(tries, got_in)
"""

SERVE = """
import socket, threading
def serve(port):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", port)); s.listen()
    return s
def accept(s):
    while True:
        s.accept()[0].close()
sockets = [serve(p) for p in {ports}]
print("ready", flush=True)
for s in sockets:
    threading.Thread(target=accept, args=(s,)).start()
"""


@pytest.fixture
def pods(net: Node) -> tuple[Pod, Pod]:
    client, server = net.pod("a"), net.pod("b")
    for port in (OPEN_PORT, CLOSED_PORT):
        server.server(port)
    return client, server


def tried(client: Pod, server: Pod, port: int, timeout: float = 0.7) -> str:
    return client.run(TRY.format(host=server.ipv4, port=port, timeout=timeout)).strip()


def test_enforced_audited_and_off(net: Node, server: PlanServer, pods: tuple[Pod, Pod], tmp_path: Path) -> None:
    client, web = pods
    log = tmp_path / "policy.log"
    server.put(plan_for(1, client, web))
    with enforcing(net, server.url, tmp_path, "--policy-log", str(log)):
        in_force(server, 1)
        assert (tried(client, web, OPEN_PORT), tried(client, web, CLOSED_PORT)) == ("open", "denied")
        wait_for(lambda: "denied" in log.read_text() if log.exists() else False, "the log")
        event = json.loads(log.read_text().splitlines()[0])
        assert (event["verdict"], event["direction"], event["pod"], event["dst_port"], event["policy"]) == (
            "denied", "ingress", "b", CLOSED_PORT, "shop/web",
        )  # fmt: skip
        server.put(plan_for(2, client, web, Mode.AUDIT))
        in_force(server, 2)
        assert tried(client, web, CLOSED_PORT) == "open"
        wait_for(lambda: "would_deny" in log.read_text(), "the log says what would have been")
        server.put(plan_for(3, client, web, Mode.OFF))
        in_force(server, 3)
        assert tried(client, web, CLOSED_PORT) == "open"


def test_a_change_cuts_and_opens_established_connections(
    net: Node, server: PlanServer, pods: tuple[Pod, Pod], tmp_path: Path
) -> None:
    client, web = pods
    server.put(plan_for(1, client, web))
    with enforcing(net, server.url, tmp_path):
        in_force(server, 1)
        held = client.python(HOLD.format(host=web.ipv4, port=OPEN_PORT), stdout=-1)
        assert held.stdout is not None
        assert held.stdout.readline() == b"ok\n"
        server.put(plan_for(2, client, web, port=CLOSED_PORT))
        began = time.monotonic()
        wait_for(lambda: held.stdout is not None and held.stdout.readline() == b"TimeoutError\n", "it is cut")
        assert time.monotonic() - began < 5
        assert tried(client, web, CLOSED_PORT) == "open"
        server.put(plan_for(3, client, web))
        wait_for(lambda: held.stdout is not None and held.stdout.readline() == b"ok\n", "and goes on when it may")


def test_egress_of_what_leaves_the_pods_is_decided_at_forward(
    net: Node, server: PlanServer, pods: tuple[Pod, Pod], tmp_path: Path
) -> None:
    """A world behind a veth that is no pod's: one port may be reached, by one pod; the node itself always."""
    client, web = pods
    world = f"{net.netns}-world"
    ip("netns", "add", world)
    try:
        ip("link", "add", "eth0", "type", "veth", "peer", "name", "uplink", "netns", net.netns, netns=world)
        for words in ("link set eth0 up", "addr add 192.0.2.1/24 dev eth0", "route add default via 192.0.2.2"):
            ip(*words.split(), netns=world)
        for words in ("link set uplink up", "addr add 192.0.2.2/24 dev uplink"):
            ip(*words.split(), netns=net.netns)
        listening = subprocess.Popen(
            ["ip", "netns", "exec", world, sys.executable, "-c", SERVE.format(ports=(OPEN_PORT, CLOSED_PORT))],
            stdout=subprocess.PIPE,
        )
        assert listening.stdout is not None
        listening.stdout.readline()
        at_node = subprocess.Popen(
            ["ip", "netns", "exec", net.netns, sys.executable, "-c", SERVE.format(ports=(CLOSED_PORT,))],
            stdout=subprocess.PIPE,
        )
        assert at_node.stdout is not None
        at_node.stdout.readline()
        server.put(plan_out(1, client))
        with enforcing(net, server.url, tmp_path) as running:
            said = in_force(server, 1)
            assert {h.name: h.state for h in said.capability} == {"policy-ingress": "on", "policy-egress": "on"}
            assert [p.egress for p in said.pods] == [None]

            def out(pod: Pod, port: int, host: str = "192.0.2.1") -> str:
                return pod.run(TRY.format(host=host, port=port, timeout=0.7)).strip()

            assert (out(client, OPEN_PORT), out(client, CLOSED_PORT)) == ("open", "denied")
            assert (out(web, OPEN_PORT), out(web, CLOSED_PORT)) == ("open", "open")
            assert out(client, CLOSED_PORT, "192.0.2.2") == "open"
            running.process.terminate()
            assert running.process.wait(20) == 0
            assert "enforcement of node n1 ends with this agent" in running.words()
            assert out(client, CLOSED_PORT) == "open"
    finally:
        for process in (listening, at_node):
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        ip("netns", "del", world)


def test_a_restart_without_the_server_keeps_the_last_plan(
    net: Node, server: PlanServer, pods: tuple[Pod, Pod], tmp_path: Path
) -> None:
    client, web = pods
    server.put(plan_for(7, client, web))
    with enforcing(net, server.url, tmp_path) as running:
        in_force(server, 7)
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
    with enforcing(net, "unix:/nonexistent/server.sock", tmp_path) as running:
        assert "plan 7 of a former run is continued" in running.words()
        wait_for(lambda: tried(client, web, CLOSED_PORT) == "denied", "closed again")
        assert tried(client, web, OPEN_PORT) == "open"
        late = net.pod("c")
        late.server(OPEN_PORT)
        assert tried(client, late, OPEN_PORT) == "open"  # not in the plan, and its mode is off


def test_a_killed_agent_neither_opens_nor_closes(
    net: Node, server: PlanServer, pods: tuple[Pod, Pod], tmp_path: Path
) -> None:
    """With pins what is in force stays without any agent, and the next one takes over without a moment between."""
    client, web = pods
    server.put(plan_for(1, client, web))
    with bpffs() as folder:
        pinned = ("--pin", str(folder / "eastwest"))
        with enforcing(net, server.url, tmp_path, *pinned) as running:
            in_force(server, 1)
            os.kill(running.process.pid, signal.SIGKILL)
            running.process.wait()
        assert (tried(client, web, OPEN_PORT), tried(client, web, CLOSED_PORT)) == ("open", "denied")
        probing = client.python(
            PROBE.format(host=web.ipv4, port=CLOSED_PORT), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        held = client.python(HOLD.format(host=web.ipv4, port=OPEN_PORT), stdout=subprocess.PIPE)
        with enforcing(net, server.url, tmp_path, *pinned) as running:
            assert "2 interfaces are taken over" in running.words()
            assert sorted(p.name for p in (folder / "eastwest").glob("link_forward_*")) == [
                "link_forward_IPv4", "link_forward_IPv6",
            ]  # fmt: skip
            server.put(plan_for(2, client, web, ranges=("10.77.0.0/16",)))
            in_force(server, 2)
        assert tried(client, web, CLOSED_PORT) == "denied"  # the end was graceful, and --pin was given
        tries, got_in = probing.communicate(b"stop\n", timeout=20)[0].split()
        assert (int(tries) > 5, int(got_in)) == (True, 0)
        held.kill()
        assert held.stdout is not None
        assert set(held.stdout.read().split()[:-1]) == {b"ok"}
        released = net.exec(sys.executable, "-m", "eastwest", "agent", "--release", *pinned)
        assert "link_forward_IPv4" in released
        assert tried(client, web, CLOSED_PORT) == "open"


def test_a_probe_says_which_directions_can_be_enforced(net: Node) -> None:
    def probed() -> dict[str, tuple[str, str | None]]:
        found = json.loads(subprocess.run(
            ["ip", "netns", "exec", net.netns, sys.executable, "-m", "eastwest", "agent", "--probe", "--enforce", "--json"],
            capture_output=True, text=True, check=False,
        ).stdout)  # fmt: skip
        return {h["name"]: (h["state"], h["reason"]) for h in found}

    found = probed()
    assert found["policy-ingress"] == found["policy-egress"] == ("on", None)
    net.sysctl("net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
    state, reason = probed()["policy-egress"]
    assert state == "refused"
    assert "forwards no packets" in str(reason)


def test_pods_come_and_go_under_a_plan_that_is_refused(
    net: Node, server: PlanServer, pods: tuple[Pod, Pod], tmp_path: Path
) -> None:
    """What does not fit is told with figures, and the plan before it holds."""
    client, web = pods
    server.put(plan_for(1, client, web))
    with enforcing(net, server.url, tmp_path):
        in_force(server, 1)
        server.put(plan_for(2, client, web, ranges=tuple(f"10.200.{i}.0/24" for i in range(300 - 44))))
        wait_for(lambda: server.said[-1].refused is not None, "it is told")
        said = server.said[-1]
        assert said.refused is not None
        assert (said.version, said.refused.version) == (1, 2)
        assert "pod_ranges: 256 entries beside the 2 in force, the table holds 256 for both" in said.refused.reason
        assert tried(client, web, CLOSED_PORT) == "denied"
        server.put(plan_for(3, client, web))
        in_force(server, 3)
        wait_for(lambda: server.said[-1].refused is None, "all is well again")
