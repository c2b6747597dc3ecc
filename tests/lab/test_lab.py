"""The lab on real packets: Services, DNS, probes, and what readiness and liveness do."""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import dnslib
import pytest

from eastwest.lab import cgroups
from eastwest.lab.runtime import Lab
from eastwest.lab.state import LabError

pytestmark = pytest.mark.root


def until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Whether `condition` became true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def pod_of(lab: Lab, app: str) -> dict[str, object]:
    found: dict[str, object] = next(p for p in lab.objects("Pod") if p["metadata"]["labels"].get("app") == app)
    return found


@pytest.mark.parametrize("family", [4, 6])
def test_a_service_port_reaches_the_named_target_port(lab: Lab, family: int) -> None:
    assert lab.probe("shop/client", "svc:shop/web:80/TCP", family).reachable
    assert lab.probe("shop/client", "svc:shop/web:7/UDP", family).reachable
    assert lab.probe("shop/client", "svc:shop/web:9000/SCTP", family).reachable
    for closed in ("8080/TCP", "8080/UDP", "38412/SCTP"):
        assert lab.probe("shop/client", f"svc:shop/web:{closed}", family).reason == "refused"


@pytest.mark.parametrize("family", [4, 6])
def test_a_node_port_is_open_on_every_node(lab: Lab, family: int) -> None:
    service = next(s for s in lab.objects("Service") if s["metadata"]["name"] == "web")
    port = service["spec"]["ports"][0]["nodePort"]
    for node in lab.nodes:
        assert lab.probe("shop/client", f"node:{node.name}:{port}/TCP", family).reachable


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", ["TCP", "UDP", "SCTP"])
def test_a_probe_says_what_is_true(lab: Lab, protocol: str, family: int) -> None:
    open_port = {"TCP": 8080, "UDP": 7000, "SCTP": 38412}[protocol]
    pods = [
        "shop/client",
        *(f"shop/{p['metadata']['name']}" for p in lab.objects("Pod") if "web" in p["metadata"]["name"]),
    ]
    for source in pods:  # also from a pod to itself and to its neighbour
        assert lab.probe(source, f"shop/web:{open_port}/{protocol}", family).reachable
        assert lab.probe(source, f"shop/web:9/{protocol}", family).reason == "refused"


@pytest.mark.parametrize("family", [4, 6])
def test_ping(lab: Lab, family: int) -> None:
    assert lab.probe("shop/client", "shop/web/ICMP", family).reachable
    assert lab.probe("shop/client", "node:node-1/ICMP", family).reachable
    assert lab.probe("shop/client", "10.244.1.99/ICMP", timeout=0.3).reason == "timeout"


@pytest.mark.parametrize("family", [4, 6])
def test_a_pod_without_sctp_ports_refuses_associations(lab: Lab, family: int) -> None:
    assert lab.probe("shop/web", "shop/client:80/SCTP", family).reason == "refused"
    assert lab.probe("shop/client", "node:node-1:80/SCTP", family).reason == "refused"  # nobody speaks it there: ICMP


def test_sctp_associations_of_one_pod_are_kept_apart(lab: Lab) -> None:
    cells = [("shop/client", "shop/web", port, "SCTP", family) for port in (38412, 9) for family in (4, 6)] * 200
    assert {(r.port, r.reason) for r in lab.probe_many(cells, timeout=10)} == {(38412, None), (9, "refused")}


def test_conntrack_follows_sctp_through_a_service(lab: Lab) -> None:
    """Its state machine only gets so far when every chunk, tag and checksum was right on both sides of the NAT."""
    assert lab.probe("shop/client", "svc:shop/web:9000/SCTP").reachable
    pod = pod_of(lab, "client")
    node = pod["spec"]["nodeName"]  # type: ignore[index]
    done = subprocess.run(lab.node_command(node, ["conntrack", "-L", "-p", "sctp"]), capture_output=True, text=True)
    assert "CLOSED" in done.stdout  # ended by ABORT
    assert "dport=9000" in done.stdout
    assert "sport=38412" in done.stdout


def test_a_probe_times_out_where_nothing_answers(lab: Lab) -> None:
    lab.fault("shop/client", loss=100)
    assert lab.probe("shop/client", "shop/web:8080/TCP", timeout=0.3).reason == "timeout"
    assert lab.fault(clear=True) == []
    assert lab.probe("shop/client", "shop/web:8080/TCP").reachable


def test_many_probes_take_little_time(lab: Lab) -> None:
    cells = [("shop/client", "shop/web", 8080, "TCP", 4), ("shop/web", "svc:shop/web", 7, "UDP", 6)] * 500
    assert all(r.reachable for r in lab.probe_many(cells))


def test_what_cannot_be_probed_is_an_error(lab: Lab) -> None:
    for target in (
        "shop/nobody:80/TCP",
        "svc:shop/nobody:80/TCP",
        "node:node-9:80/TCP",
        "shop/web:80/DCCP",
        "web:x/TCP",
    ):
        with pytest.raises(LabError):
            lab.probe("shop/client", target)


@pytest.mark.parametrize("transport", [[], ["-T"]], ids=["udp", "tcp"])
def test_dns_answers_services_headless_pods_and_the_internet(lab: Lab, transport: list[str]) -> None:
    def ask(name: str, kind: str) -> set[str]:
        program = (
            "import sys, dnslib; q = dnslib.DNSRecord.question(sys.argv[1], sys.argv[2]);"
            "a = dnslib.DNSRecord.parse(q.send('10.96.0.10', 53, tcp=len(sys.argv) > 3, timeout=3));"
            "print(*(r.rdata for r in a.rr), sep='\\n')"
        )
        import sys

        done = lab.exec("shop", "client", [sys.executable, "-c", program, name, kind, *transport])
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())

    web = next(s for s in lab.objects("Service") if s["metadata"]["name"] == "web")["spec"]["clusterIPs"]
    ips = {
        ip["ip"]
        for p in lab.objects("Pod")
        if p["metadata"]["labels"].get("app") == "web"
        for ip in p["status"]["podIPs"]
    }
    assert ask("web.shop.svc.cluster.local", "A") | ask("web.shop.svc.cluster.local", "AAAA") == set(web)
    assert ask("web-peers.shop.svc.cluster.local", "A") == {ip for ip in ips if "." in ip}
    assert ask("dynamodb.us-east-1.amazonaws.com", "A") == {"52.94.2.72", "52.119.226.10"}
    assert ask("nobody.shop.svc.cluster.local", "A") == set()
    assert dnslib.__name__  # the client is not our own codec


def test_a_program_in_a_pod_resolves_short_names(lab: Lab) -> None:
    assert lab.exec("shop", "client", ["getent", "hosts", "web"]).returncode == 0
    assert lab.exec("shop", "client", ["getent", "hosts", "api.stripe.example"]).returncode == 0
    assert lab.exec("shop", "client", ["hostname"]).stdout.strip() == pod_of(lab, "client")["metadata"]["name"]  # type: ignore[index]


def test_an_unready_pod_leaves_its_service_and_comes_back(lab: Lab, moods: Path) -> None:
    def reachable() -> bool:
        return lab.probe("shop/client", "svc:shop/moody:80/TCP").reachable

    assert until(reachable)
    (moods / "unready").touch()
    assert until(lambda: not reachable())
    assert lab.probe("shop/client", "shop/moody:8080/TCP").reachable
    (moods / "unready").unlink()
    assert until(reachable)


def test_a_failed_liveness_probe_restarts_the_container(lab: Lab, moods: Path) -> None:
    def restarts() -> int:
        count: int = pod_of(lab, "moody")["status"]["containerStatuses"][0]["restartCount"]  # type: ignore[index]
        return count

    before = restarts()
    (moods / "sick").touch()
    assert until(lambda: restarts() > before)
    (moods / "sick").unlink()
    lab.wait()


def test_pod_processes_are_where_a_kubelet_would_put_them(lab: Lab) -> None:
    pod = pod_of(lab, "web")
    uid = pod["metadata"]["uid"].replace("-", "_")  # type: ignore[index]
    node = lab.node(pod["spec"]["nodeName"])  # type: ignore[index]
    own = Path(node.cgroup, "kubepods.slice", "kubepods-besteffort.slice", f"kubepods-besteffort-pod{uid}.slice")
    scopes = [p for p in own.iterdir() if p.name.startswith("cri-containerd-")]
    assert len(scopes) == 2  # the sandbox and one container
    namespaces = {Path(f"/proc/{pid}/ns/net").readlink() for pid in cgroups.processes(own)}
    assert len(namespaces) == 1
    assert namespaces != {Path("/proc/self/ns/net").readlink()}


def test_the_watch_tells_a_pods_address_before_it_runs(lab: Lab) -> None:
    events = [json.loads(line) for line in lab.files.watch.read_text().splitlines()]
    kinds = {e["object"]["kind"] for e in events}
    assert {"Namespace", "Node", "Deployment", "ReplicaSet", "Pod", "Service", "EndpointSlice"} <= kinds
    assert all(a["at_ns"] <= b["at_ns"] for a, b in itertools.pairwise(events))
    uid = pod_of(lab, "web")["metadata"]["uid"]  # type: ignore[index]
    own = [e for e in events if e["object"]["metadata"]["uid"] == uid]
    assert own[0]["type"] == "ADDED"
    assert own[0]["object"]["status"]["podIP"]
    assert own[0]["object"]["status"]["phase"] == "Pending"


def test_apply_names_file_line_and_field(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: shop}\nspec:\n  containers:\n  - name: c\n"
                    "    ports: [{containerPort: 70000}]\n")  # fmt: skip
    with pytest.raises(LabError, match=r"bad.yaml:7: Pod shop/p: spec.containers\[0\].ports\[0\].containerPort"):
        lab.apply(file)
