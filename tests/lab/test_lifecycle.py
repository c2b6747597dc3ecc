"""Coming and going: nothing is left, also after kill -9; labs side by side; many pods at once; all networks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eastwest.lab import cgroups
from eastwest.lab.runtime import Lab, remove
from eastwest.lab.state import LabError

pytestmark = pytest.mark.root


def _root_namespace() -> str:
    """Links, addresses, routes and rules of the machine's own network namespace."""
    commands = (
        ["ip", "-o", "link"],
        ["ip", "-o", "address"],
        ["ip", "route"],
        ["ip", "rule"],
        ["nft", "list", "ruleset"],
    )
    return "\n".join(subprocess.run(c, capture_output=True, text=True, check=False).stdout for c in commands)


def _mounts_over_etc() -> list[str]:
    return [line for line in Path("/proc/self/mounts").read_text().splitlines() if " /etc/" in line]


def _assert_gone(name: str, lab: Lab) -> None:
    assert not cgroups.lab_root(name).exists()
    assert not lab.files.folder.exists()


def test_down_leaves_nothing(run_dir: Path, manifest: Path) -> None:
    before = (_root_namespace(), _mounts_over_etc())
    name = f"d{os.getpid()}"
    made = Lab.up([manifest], name)
    pids = cgroups.processes(cgroups.lab_root(name))
    assert len(pids) > 10
    made.down()
    _assert_gone(name, made)
    assert not [
        pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text()
    ]
    assert (_root_namespace(), _mounts_over_etc()) == before


def test_down_cleans_what_kill_9_left(run_dir: Path, manifest: Path) -> None:
    name = f"k{os.getpid()}"
    made = Lab.up([manifest], name)
    os.kill(made.state.pid, signal.SIGKILL)
    assert remove(name)
    _assert_gone(name, made)
    made = Lab.up([manifest], name)  # the name is free again
    for pid in cgroups.processes(cgroups.lab_root(name)):
        os.kill(pid, signal.SIGKILL)
    assert remove(name)
    _assert_gone(name, made)


def test_a_second_lab_of_the_same_name_is_refused_and_harms_nothing(lab: Lab, manifest: Path) -> None:
    with pytest.raises(LabError, match="exists"):
        Lab.up([manifest], lab.files.name)
    assert lab.probe("shop/client", "svc:shop/web:80/TCP").reachable


def test_two_labs_run_side_by_side(lab: Lab, manifest: Path) -> None:
    name = f"s{os.getpid()}"
    other = Lab.up([manifest], name, cgroup_driver="cgroupfs")
    try:
        lab.fault("node:node-1", loss=100)
        lab.fault("node:node-2", loss=100)
        lab.fault("node:node-3", loss=100)
        for family in (4, 6):
            assert other.probe("shop/client", "svc:shop/web:80/TCP", family).reachable
        pod = next(p for p in other.objects("Pod") if p["metadata"]["labels"].get("app") == "web")
        node = other.node(pod["spec"]["nodeName"])
        assert Path(node.cgroup, "kubepods", "besteffort", f"pod{pod['metadata']['uid']}").is_dir()
    finally:
        lab.fault(clear=True)
        other.down()


@pytest.mark.parametrize("network", ["bridged", "vxlan"])
def test_every_network_reaches_everything(run_dir: Path, manifest: Path, network: str) -> None:
    made = Lab.up([manifest], f"n{os.getpid()}", network)
    try:
        pods = [f"shop/{p['metadata']['name']}" for p in made.objects("Pod") if p["metadata"]["namespace"] == "shop"]
        cells = [(a, to, port, protocol, family) for a in pods for family in (4, 6) for to, port, protocol in
                 (("svc:shop/web", 80, "TCP"), ("svc:shop/web", 7, "UDP"), ("shop/web", 8080, "TCP"))]  # fmt: skip
        cells += [(a, "52.217.10.14", 443, "TCP", 4) for a in pods]
        cells += [(a, "2600:1fa0:8000::35", 443, "TCP", 6) for a in pods]
        assert [r for r in made.probe_many(cells) if not r.reachable] == []
    finally:
        made.down()


def test_a_hundred_pods_start_in_seconds(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    template = {"metadata": {"labels": {"app": "many"}},
                "spec": {"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80}]}]}}  # fmt: skip
    many = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "many", "namespace": "shop"},
            "spec": {"replicas": 100, "selector": {"matchLabels": {"app": "many"}}, "template": template}}  # fmt: skip
    started = time.monotonic()
    lab.apply_objects([many], timeout=120)
    with capsys.disabled():
        print(f"\n100 pods ready in {time.monotonic() - started:.2f} s")
    pods = [p for p in lab.objects("Pod") if p["metadata"]["labels"].get("app") == "many"]
    assert len({p["status"]["podIP"] for p in pods}) == 100
    cells = [("shop/client", f"shop/{p['metadata']['name']}", 80, "TCP", f) for p in pods for f in (4, 6)]
    assert all(r.reachable for r in lab.probe_many(cells))
    lab.delete("Deployment", "shop", "many")


def test_agents_run_in_a_nodes_namespace_and_cgroup(lab: Lab) -> None:
    node = lab.nodes[0]
    script = "import os; print(os.readlink('/proc/self/ns/net')); print(open('/proc/self/cgroup').read())"
    done = subprocess.run(
        lab.node_command(node.name, [sys.executable, "-c", script]), capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == str(Path(f"/proc/{node.pid}/ns/net").readlink())
    assert f"/{node.name}/" in done.stdout
    assert json.loads(lab.files.description.read_text())["nodes"][0]["cgroup"] in node.cgroup


def test_node_local_dns_answers_without_conntrack(run_dir: Path, manifest: Path) -> None:
    lab = Lab.up([manifest], f"dns{os.getpid()}", nodes=1)
    try:
        address = lab.node_local_dns()
        assert address == lab.node_local_dns() == "169.254.20.10"  # twice is once
        (old,) = [p["metadata"]["name"] for p in lab.objects("Pod") if p["metadata"]["labels"].get("app") == "client"]
        lab.delete("Pod", "shop", old)
        deadline = time.monotonic() + 15
        while any(p["metadata"]["name"] == old for p in lab.objects("Pod")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        lab.wait([("Deployment", "shop", "client")])
        assert f"nameserver {address}" in lab.exec("shop", "client", ["cat", "/etc/resolv.conf"]).stdout
        assert lab.exec("shop", "client", ["getent", "hosts", "web"]).returncode == 0
        assert lab.probe("shop/client", f"{address}:53/TCP").reachable
        tracked = subprocess.run(
            lab.node_command("node-1", ["conntrack", "-L"]), capture_output=True, text=True, check=True
        )
        assert address not in tracked.stdout
    finally:
        lab.down()
