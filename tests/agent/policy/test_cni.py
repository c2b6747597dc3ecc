"""The chained plugin behind Debian's own ptp and bridge plugins, in a namespace of its own, with the real agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.netlab import Node, ip, wait_for
from agent.policy.planserver import PlanServer
from agent.policy.running import Enforcing, enforcing
from agent.policy.test_enforcing import TRY
from eastwest.agent.policy.local import NO_INTERFACE
from eastwest.cli import cni
from eastwest.model.plan import NOBODY, Mode, NodePlan, PlanPod, Posture, Ruling, Side
from eastwest.model.realised import Realised
from eastwest.wire.plan import sealed
from wire.factories_plan import ISOLATED, identities, ports

PLUGINS = next((p for p in (Path("/usr/lib/cni"), Path("/opt/cni/bin")) if (p / "ptp").exists()), None)
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(PLUGINS is None, reason="containernetworking-plugins is not installed"),
]

UID = "aaaaaaaa-0000-4000-8000-000000000001"
COUNT = """
import socket
s = socket.socket(2, 2); s.bind(("", 53)); print("ready", flush=True)
n = 0
while s.recv(9) != b"end":
    n += 1
print(n, flush=True)
"""
LISTEN = """
import socket
s = socket.create_server(("", 80))
while True:
    s.accept()[0].close()
"""
ARGS = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID={UID}"


def plan(
    version: int = 1, *uids: str, unknown: Mode = Mode.ENFORCE, ruling: Ruling = Ruling.DENY, shut_out: bool = False
) -> NodePlan:
    """Pods that nothing reaches (or everything), and a deny posture."""
    shut = Side(Mode.ENFORCE, 1, 1)
    pods = tuple(PlanPod(uid, "shop", "web-0", (), shut if shut_out else Side(Mode.OFF, 0, 0), shut) for uid in uids)
    made = NodePlan(
        "n1", 0, "", pods, (NOBODY, ISOLATED), identities(("::/0", 0, 9)),
        ports=ports((1, 0, 0, 0, ruling, 1)), ranges=("10.88.0.0/16",), posture=Posture.DENY, unknown_mode=unknown,
    )  # fmt: skip
    return sealed(made, version)


def state(said: list[Realised]) -> tuple[int, str | None]:
    """(version, what is missing for the sandbox's pod) as told last."""
    return said[-1].version, next(p.ingress for p in said[-1].pods if p.uid == UID)


class Sandbox:
    """A network namespace without any process, as a container runtime makes it before the pod's first one."""

    def __init__(self, net: Node, folder: Path, plugin: str) -> None:
        self.net, self.netns, self.plugin = net, f"{net.netns}-box", plugin
        self.config: dict[str, Any] = {
            "cniVersion": "1.0.0",
            "name": "test",
            "type": plugin,
            "ipam": {
                "type": "host-local",
                "subnet": "10.88.0.0/24",
                "dataDir": str(folder / "ipam"),
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        if plugin == "bridge":
            self.config |= {"bridge": "cni0", "isGateway": True}
        ip("netns", "add", self.netns)

    def call(self, command: str, plugin: Path | str, config: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        assert PLUGINS is not None
        environment = {
            "CNI_COMMAND": command, "CNI_CONTAINERID": "box", "CNI_NETNS": f"/run/netns/{self.netns}",
            "CNI_IFNAME": "eth0", "CNI_ARGS": ARGS, "CNI_PATH": str(PLUGINS), "PATH": os.environ["PATH"],
        }  # fmt: skip
        return subprocess.run(
            ["ip", "netns", "exec", self.net.netns, str(plugin)],
            input=json.dumps(config), env=environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def add(self) -> dict[str, Any]:
        assert PLUGINS is not None
        done = self.call("ADD", PLUGINS / self.plugin, self.config)
        assert done.returncode == 0, done.stdout
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def delete(self) -> None:
        assert PLUGINS is not None
        self.call("DEL", PLUGINS / self.plugin, self.config)
        ip("netns", "del", self.netns)


def chained(running: Enforcing, result: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "cniVersion": "1.0.0", "name": "test", "type": cni.PLUGIN, "socket": str(running.cni),
        "onTimeout": "fail", "timeoutSeconds": 10, "prevResult": result, **more,
    }  # fmt: skip


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "eastwest", "cni", "--install", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    return Path(done.stdout.strip())


@pytest.mark.parametrize("first", ["ptp", "bridge"])
def test_a_pod_begins_when_its_rules_are_in_force(
    first: str, net: Node, server: PlanServer, tmp_path: Path, plugin: Path
) -> None:
    client = net.pod("a")
    server.put(plan(1, UID, client.uid, ruling=Ruling.ALLOW))
    box = Sandbox(net, tmp_path, first)
    listening: subprocess.Popen[bytes] | None = None
    try:
        with enforcing(net, server.url, tmp_path) as running:
            result = box.add()
            config = chained(running, result)
            done = box.call("ADD", plugin, config)
            assert (done.returncode, json.loads(done.stdout)) == (0, result)
            said = server.said
            wait_for(lambda: bool(said) and state(said) == (1, None), "it is told")
            assert box.call("CHECK", plugin, config).returncode == 0
            address = result["ips"][0]["address"].partition("/")[0]
            listening = subprocess.Popen(["ip", "netns", "exec", box.netns, sys.executable, "-c", LISTEN])
            wait_for(
                lambda: client.run(TRY.format(host=address, port=80, timeout=0.3)).strip() == "open", "it is let in"
            )
            server.put(plan(2, UID, client.uid))
            wait_for(lambda: said[-1].version == 2, "plan 2")
            box.call("CHECK", plugin, config)
            assert client.run(TRY.format(host=address, port=80, timeout=0.7)).strip() == "denied"
            assert box.call("DEL", plugin, config).stdout == ""
            box.delete()
            wait_for(lambda: state(said) == (2, NO_INTERFACE), "its end is noticed")
            assert address.startswith("10.88.")
    finally:
        if listening is not None:
            listening.kill()
            listening.wait()
        if box.netns in ip("netns", "list"):
            ip("netns", "del", box.netns)


def test_the_first_packet_is_decided(net: Node, server: PlanServer, tmp_path: Path, plugin: Path) -> None:
    """What a pod sends as soon as its runtime may start it is denied, ten times in a row; nothing of it arrives."""
    sink = net.pod("a")
    server.put(plan(1, UID, shut_out=True))
    counting = sink.python(COUNT, stdout=subprocess.PIPE)
    assert counting.stdout is not None
    counting.stdout.readline()
    with enforcing(net, server.url, tmp_path) as running:
        for _ in range(10):
            box = Sandbox(net, tmp_path, "ptp")
            try:
                done = box.call("ADD", plugin, chained(running, box.add()))
                assert done.returncode == 0, done.stdout
                send = f"import socket; socket.socket(2, 2).sendto(b'x', ({sink.ipv4!r}, 53))"
                subprocess.run(["ip", "netns", "exec", box.netns, sys.executable, "-S", "-c", send], check=True)
            finally:
                box.delete()
    net.exec(sys.executable, "-c", f"import socket; socket.socket(2, 2).sendto(b'end', ({sink.ipv4!r}, 53))")
    assert counting.stdout.readline() == b"0\n"


def test_a_restart_knows_a_sandbox_that_has_no_process_yet(
    net: Node, server: PlanServer, tmp_path: Path, plugin: Path
) -> None:
    server.put(plan(1, UID))
    box = Sandbox(net, tmp_path, "ptp")
    try:
        with enforcing(net, server.url, tmp_path) as running:
            config = chained(running, box.add())
            assert box.call("ADD", plugin, config).returncode == 0
            running.process.kill()
            running.process.wait()
        with enforcing(net, server.url, tmp_path):
            wait_for(lambda: box.call("CHECK", plugin, config).returncode == 0, "it is known again")
    finally:
        box.delete()


def test_it_waits_for_the_plan_or_for_the_posture_as_told(
    net: Node, server: PlanServer, tmp_path: Path, plugin: Path
) -> None:
    server.put(plan(1))
    box = Sandbox(net, tmp_path, "ptp")
    try:
        with enforcing(net, server.url, tmp_path) as running:
            result = box.add()
            posture = box.call("ADD", plugin, chained(running, result, waitFor="posture"))
            assert posture.returncode == 0, posture.stdout
            begin = time.monotonic()
            late = box.call("ADD", plugin, chained(running, result, timeoutSeconds=0.3))
            assert time.monotonic() - begin >= 0.3
            refusal = json.loads(late.stdout)
            assert (late.returncode, refusal["code"]) == (1, cni.TRY_AGAIN)
            assert "plan 1 does not know the pod yet" in refusal["details"]
            on = box.call("ADD", plugin, chained(running, result, timeoutSeconds=0.3, onTimeout="proceed"))
            assert (on.returncode, json.loads(on.stdout)) == (0, result)
            assert "starts although it is not decided about" in on.stderr
            assert box.call("CHECK", plugin, chained(running, result)).returncode == 1
            server.put(plan(2, unknown=Mode.OFF))  # nothing is evaluated: nothing to wait for
            assert box.call("ADD", plugin, chained(running, result)).returncode == 0
            server.put(plan(3))
            wait_for(lambda: server.said[-1].version == 3, "plan 3")
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(box.call, "ADD", plugin, chained(running, result, timeoutSeconds=30))
                assert not asked.done()
                server.put(plan(4, UID))
                assert asked.result(20).returncode == 0
    finally:
        box.delete()


def test_without_an_agent_it_does_as_told(net: Node, tmp_path: Path, plugin: Path) -> None:
    box = Sandbox(net, tmp_path, "ptp")
    try:
        result = box.add()
        nobody = Enforcing(None, tmp_path, tmp_path, tmp_path / "nobody.sock")  # type: ignore[arg-type]
        config = chained(nobody, result, timeoutSeconds=0.2)
        failed = box.call("ADD", plugin, config)
        assert (failed.returncode, json.loads(failed.stdout)["code"]) == (1, cni.TRY_AGAIN)
        assert "the agent cannot be asked" in json.loads(failed.stdout)["details"]
        assert box.call("ADD", plugin, {**config, "onTimeout": "proceed"}).returncode == 0
        assert box.call("DEL", plugin, config).returncode == 0
    finally:
        box.delete()
