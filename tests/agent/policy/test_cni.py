"""The chained plugin behind Debian's own ptp and bridge plugins, in a namespace of its own, with the real agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from agent.netlab import Node, ip, node, wait_for
from agent.policy.planserver import PlanServer, serving
from agent.policy.running import Enforcing, enforcing
from eastwest.cli import cni
from eastwest.model.plan import NOBODY, Mode, NodePlan, PlanPod, Posture, Ruling, Side
from eastwest.wire.plan import sealed
from wire.factories_plan import ISOLATED, identities, ports

PLUGINS = next((p for p in (Path("/usr/lib/cni"), Path("/opt/cni/bin")) if (p / "ptp").exists()), None)
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(PLUGINS is None, reason="containernetworking-plugins is not installed"),
]

UID = "aaaaaaaa-0000-4000-8000-000000000001"
ARGS = f"IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID={UID}"


def plan(version: int = 1, *uids: str, unknown: Mode = Mode.ENFORCE) -> NodePlan:
    """Pods that nothing reaches, and a deny posture."""
    shut = Side(Mode.ENFORCE, 1, 1)
    pods = tuple(PlanPod(uid, "shop", "web-0", (), Side(Mode.OFF, 0, 0), shut) for uid in uids)
    made = NodePlan(
        "n1", 0, "", pods, (NOBODY, ISOLATED), identities(("::/0", 0, 9)),
        ports=ports((1, 0, 0, 0, Ruling.DENY, 1)), ranges=("10.88.0.0/16",), posture=Posture.DENY, unknown_mode=unknown,
    )  # fmt: skip
    return sealed(made, version)


@pytest.fixture
def net() -> Iterator[Node]:
    with node() as n:
        yield n


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PlanServer]:
    with serving(tmp_path) as s:
        yield s


class Sandbox:
    """A network namespace without any process, as a container runtime makes it before the pod's first one."""

    def __init__(self, net: Node, folder: Path, plugin: str) -> None:
        self.net, self.netns, self.plugin = net, f"{net.netns}-box", plugin
        self.config: dict[str, Any] = {
            "cniVersion": "1.0.0",
            "name": "test",
            "type": plugin,
            "ipam": {"type": "host-local", "subnet": "10.88.0.0/24", "dataDir": str(folder / "ipam")},
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
    server.put(plan(1, UID))
    box = Sandbox(net, tmp_path, first)
    try:
        with enforcing(net, server.url, tmp_path) as running:
            result = box.add()
            config = chained(running, result)
            done = box.call("ADD", plugin, config)
            assert (done.returncode, json.loads(done.stdout)) == (0, result)
            said = server.said
            wait_for(lambda: bool(said) and said[-1].version == 1 and said[-1].pods[0].ingress is None, "it is told")
            assert box.call("CHECK", plugin, config).returncode == 0
            address = result["ips"][0]["address"].partition("/")[0]
            assert box.call("DEL", plugin, config).stdout == ""
            box.delete()
            wait_for(lambda: said[-1].pods[0].ingress is not None, "its end is noticed")
            assert address.startswith("10.88.")
    finally:
        if box.netns in ip("netns", "list"):
            ip("netns", "del", box.netns)


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
