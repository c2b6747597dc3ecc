"""The lab's pure parts: addresses, cgroup names, endpoints, rules, controllers, admission."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eastwest.k8s.raw import RawObject, load_raw
from eastwest.lab import admission, cgroups, nftables
from eastwest.lab.addresses import Full, NodePlan, Pool
from eastwest.lab.controllers import Controllers
from eastwest.lab.endpoints import frontends, slices
from eastwest.lab.internet import HOSTS
from eastwest.lab.shipped import SCENARIOS, scenario_names
from eastwest.lab.state import LabError, LabFiles
from eastwest.lab.watch import Objects

Json = dict[str, Any]
UID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    made = Objects(tmp_path / "watch.jsonl")
    yield made
    made.close()


def pod(name: str, ip: str, *, ready: bool = True, node: str = "node-1", port: int = 8080) -> Json:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": "web"}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}, {"ip": "fd00::" + ip.rpartition(".")[2]}],
                   "conditions": [{"type": "Ready", "status": str(ready)}]},
    }  # fmt: skip


def service(**spec: Any) -> Json:
    port = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    full = {"selector": {"app": "web"}, "clusterIPs": ["10.96.0.1", "fd00:10:96::1"], "ports": [port], **spec}
    return {"kind": "Service", "metadata": {"name": "web", "namespace": "n", "uid": "s"}, "spec": full}


def test_a_pools_numbers_come_back_late() -> None:
    pool = Pool(2, 4)
    assert [pool.take(), pool.take()] == [2, 3]
    pool.give_back(2)
    assert [pool.take(), pool.take()] == [4, 2]
    with pytest.raises(Full):
        pool.take()
    with pytest.raises(Full):
        pool.take(3)


def test_cgroup_names_follow_the_kubelet() -> None:
    flat = UID.replace("-", "_")
    assert str(cgroups.pod_path(UID, "burstable", "systemd")) == (
        f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{flat}.slice"
    )
    assert str(cgroups.pod_path(UID, "guaranteed", "systemd")) == f"kubepods.slice/kubepods-pod{flat}.slice"
    assert str(cgroups.pod_path(UID, "besteffort", "cgroupfs")) == f"kubepods/besteffort/pod{UID}"
    assert str(cgroups.pod_path(UID, "guaranteed", "cgroupfs")) == f"kubepods/pod{UID}"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "besteffort"),
        ({"requests": {"cpu": "1"}}, "burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "burstable"),
    ],
)
def test_quality_of_service(resources: Json, expected: str) -> None:
    assert cgroups.qos_class({"containers": [{"resources": resources}]}) == expected


def test_the_cgroup2_mount_is_found_where_it_is() -> None:
    assert cgroups.cgroup2_root("tmpfs / tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup\\040x cgroup2 rw 0 0\n") == Path(
        "/sys/fs/cgroup x"
    )
    with pytest.raises(OSError, match="cgroup2"):
        cgroups.cgroup2_root("tmpfs / tmpfs rw 0 0\n")


def test_only_ready_pods_are_backends_but_all_are_in_the_slice() -> None:
    pods = [pod("a", "10.244.0.2"), pod("b", "10.244.0.3", ready=False), pod("c", "10.244.0.4", port=9090)]
    fronts = frontends(service(), pods, NodePlan(0))
    assert [f.backends for f in fronts if f.family == 4] == [(("10.244.0.2", 8080), ("10.244.0.4", 9090))]
    made = slices(service(), pods, {"node-1": "us-east-1a"})
    assert [(s["metadata"]["name"], s["ports"][0]["port"], len(s["endpoints"])) for s in made] == [
        ("web-v4", 8080, 2), ("web-v4-1", 9090, 1), ("web-v6", 8080, 2), ("web-v6-1", 9090, 1),
    ]  # fmt: skip


def test_local_policy_keeps_to_the_node_and_its_clients_address() -> None:
    pods = [pod("a", "10.244.0.2"), pod("b", "10.244.1.2", node="node-2")]
    made = service(type="LoadBalancer", externalTrafficPolicy="Local")
    made["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}
    outer = [f for f in frontends(made, pods, NodePlan(1)) if f.address == "203.0.113.10"]
    assert [(f.backends, f.masquerade) for f in outer] == [((("10.244.1.2", 8080),), False)]


def test_rules_name_every_backend_once() -> None:
    text = nftables.ruleset(NodePlan(0), frontends(service(), [pod("a", "10.244.0.2")], NodePlan(0)), ["10.244.0.2"])
    assert "10.96.0.1 . tcp . 80 : goto s0" in text
    assert "dnat ip to numgen random mod 1 map { 0 : 10.244.0.2 . 8080 }" in text
    assert text.startswith("table inet eastwest-lab\ndelete table inet eastwest-lab\n")


def _deployment(replicas: int, image: str = "a") -> Json:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}}  # fmt: skip


def test_a_rollout_starts_the_new_pods_before_it_stops_the_old(objects: Objects) -> None:
    controllers = Controllers(objects, lambda: ["node-1"])

    def step(*, ready: bool) -> tuple[int, int]:
        changes = controllers.reconcile()
        for body in changes.start:
            objects.put({**body, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}})
        for body in changes.stop:
            objects.remove(("Pod", "n", body["metadata"]["name"]))
        return len(changes.start), len(changes.stop)

    objects.put(_deployment(2))
    assert step(ready=True) == (2, 0)
    objects.put(_deployment(2, "b"))
    assert step(ready=False) == (2, 0)
    assert step(ready=False) == (0, 0)
    for body in list(objects.of("Pod")):
        objects.put({**body, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
    step(ready=True)
    assert step(ready=True) == (0, 2)
    assert {p["spec"]["containers"][0]["image"] for p in objects.of("Pod")} == {"b"}


def test_the_watch_is_a_replayable_log(objects: Objects, tmp_path: Path) -> None:
    first = objects.put(_deployment(1))
    assert objects.put(copy.deepcopy(first)) is first  # nothing changed, nothing logged
    objects.put(_deployment(2))
    objects.remove(("Deployment", "n", "web"))
    lines = (tmp_path / "watch.jsonl").read_text().splitlines()
    assert [line.split('"')[3] for line in lines] == ["ADDED", "MODIFIED", "DELETED"]
    assert all(first["metadata"]["uid"] in line for line in lines)


def test_every_shipped_scenario_is_admitted() -> None:
    assert scenario_names() == ["ecommerce", "mobile-core", "photo-gallery", "retail-store"]
    for name in scenario_names():
        raw, problems = load_raw(SCENARIOS / name)
        assert raw
        assert not problems
        for item in raw:
            admission.check(item)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"apiVersion": "v1", "kind": "Gadget", "metadata": {"name": "x"}}, "the lab has no Gadget"),
        ({"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "x"}}, "apiVersion"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}}, "spec.containers"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"port": 0}]}}, r"spec.ports\[0\].port"),
        ({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {}}, "spec.template"),
    ],
)  # fmt: skip
def test_what_is_not_admitted_says_where(body: Json, words: str) -> None:
    with pytest.raises(LabError, match=words):
        admission.check(RawObject(body, "x.yaml", 1))


def test_a_kustomization_that_only_lists_files_is_passed_over() -> None:
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    listing = RawObject({**head, "resources": ["a.yaml"]}, "kustomization.yaml", 1)
    assert admission.only_lists_files(listing)
    assert not admission.only_lists_files(RawObject({"apiVersion": "v1", "kind": "Pod"}, "pod.yaml", 1))
    with pytest.raises(LabError, match=r"namePrefix.*builds no kustomizations"):
        admission.only_lists_files(RawObject({**head, "resources": ["a.yaml"], "namePrefix": "x-"}, "k.yaml", 1))


def test_a_lab_name_is_safe_for_files_and_cgroups() -> None:
    for name in ("", "../x", "A", "a" * 31, "-a"):
        with pytest.raises(LabError):
            LabFiles(name)


def test_internet_addresses_are_distinct() -> None:
    addresses = [a for h in HOSTS for a in h.addresses]
    assert len(addresses) == len(set(addresses))
