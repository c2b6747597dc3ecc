"""What a pod may be: several containers, init containers, host network, a pinned address, a command, a Job."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from eastwest.lab.runtime import Lab

pytestmark = pytest.mark.root
Json = dict[str, Any]


def until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def pod(name: str, *containers: Json, annotations: Json | None = None, labels: Json | None = None, **spec: Any) -> Json:
    meta = {"name": name, "namespace": "shop", "annotations": annotations or {}, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": list(containers), **spec}}


def container(name: str = "c", port: int | None = None, **more: Any) -> Json:
    return {"name": name, "image": "x", "ports": [{"containerPort": port}] if port else [], **more}


def stored(lab: Lab, name: str) -> Json | None:
    return next((p for p in lab.objects("Pod") if p["metadata"]["name"] == name), None)


def restarts(lab: Lab, name: str) -> int:
    statuses = ((stored(lab, name) or {}).get("status") or {}).get("containerStatuses") or [{}]
    return int(statuses[0].get("restartCount", 0))


def gone(lab: Lab, name: str) -> bool:
    lab.delete("Pod", "shop", name)
    return until(lambda: stored(lab, name) is None)


def test_containers_of_a_pod_share_its_address(lab: Lab) -> None:
    lab.apply_objects([pod("pair", container("one", 81), container("two", 82))])
    assert lab.probe("shop/client", "shop/pair:81/TCP").reachable
    assert lab.probe("shop/client", "shop/pair:82/TCP", 6).reachable
    assert gone(lab, "pair")


def test_an_address_can_be_used_again_at_once(lab: Lab) -> None:
    here = {"annotations": {"eastwest.lab/ips": "10.244.0.200"}, "nodeName": "node-1"}
    uids = []
    for name in ("first", "second"):
        lab.apply_objects([pod(name, container(port=80), **here)])
        found = stored(lab, name)
        assert found is not None
        assert [ip["ip"] for ip in found["status"]["podIPs"]] == ["10.244.0.200", "fd00:10:244::c8"]
        uids.append(found["metadata"]["uid"])
        for family in (4, 6):
            assert lab.probe("shop/client", f"shop/{name}:80/TCP", family).reachable
        assert gone(lab, name)
    events = [json.loads(line) for line in lab.files.watch.read_text().splitlines()]
    first = [e for e in events if e["object"]["metadata"]["uid"] == uids[0]]
    second = [e for e in events if e["object"]["metadata"]["uid"] == uids[1]]
    assert first[-1]["type"] == "DELETED"
    assert first[-1]["at_ns"] < second[0]["at_ns"]


def test_a_host_network_pod_has_its_nodes_address(lab: Lab) -> None:
    lab.apply_objects([pod("host", container(port=9100), hostNetwork=True, nodeName="node-2")])
    found = stored(lab, "host")
    assert found is not None
    assert found["status"]["podIP"] == lab.node("node-2").ips[0]
    assert lab.probe("shop/client", "node:node-2:9100/TCP").reachable
    assert lab.probe("shop/host", "svc:shop/web:80/TCP", 6).reachable
    assert gone(lab, "host")
    assert lab.probe("shop/client", "node:node-2:9100/TCP").reason == "refused"


def test_init_containers_run_first_and_commands_from_the_host(lab: Lab, tmp_path: Any) -> None:
    mark = tmp_path / "mark"
    init = {"name": "init", "image": "x", "command": ["sh", "-c", f"echo $(NAME) > {mark}"],
            "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}  # fmt: skip
    main = container("main", command=["sh", "-c", f"cat {mark} > {mark}.2; exec sleep 100"])
    lab.apply_objects([pod("starter", main, initContainers=[init])])
    assert until((tmp_path / "mark.2").exists)
    assert (tmp_path / "mark.2").read_text() == "starter\n"
    assert gone(lab, "starter")


def test_a_command_can_be_a_probe(lab: Lab, tmp_path: Any) -> None:
    probe = {"exec": {"command": ["test", "-e", str(tmp_path / "good")]}, "periodSeconds": 1, "failureThreshold": 1}
    lab.apply_objects([pod("asked", container(port=80, readinessProbe=probe))], wait=False)
    assert until(lambda: (stored(lab, "asked") or {}).get("status", {}).get("phase") == "Running")
    assert any("shop/asked" in line for line in lab.call("not_ready"))
    (tmp_path / "good").touch()
    lab.wait([("Pod", "shop", "asked")])
    assert gone(lab, "asked")


def test_a_container_that_ends_is_started_again_a_job_is_not(lab: Lab) -> None:
    lab.apply_objects([pod("short", container(command=["sh", "-c", "sleep 0.2; exit 3"]))], wait=False)
    assert until(lambda: restarts(lab, "short") > 1)
    assert gone(lab, "short")
    lab.apply_objects([pod("once", container(command=["false"]), restartPolicy="Never")], wait=False)
    assert until(lambda: (stored(lab, "once") or {}).get("status", {}).get("phase") == "Failed")
    assert gone(lab, "once")


def test_declared_calls_are_made(lab: Lab) -> None:
    calls = (
        "- {to: tcp://short-lived.shop.svc:80, rate: 20/s, keepalive: true}\n- {to: udp://web.shop.svc:7, rate: 20/s}\n"
    )
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "short-lived", "namespace": "shop"},
               "spec": {"selector": {"called": "yes"}, "ports": [{"port": 80, "targetPort": 7777}]}}  # fmt: skip
    target = pod("called", container(port=7777), labels={"called": "yes"})
    lab.apply_objects([service, target, pod("calling", container(), annotations={"eastwest.lab/calls": calls})])

    def connected() -> bool:
        return "7777" in lab.exec("shop", "called", ["ss", "-Htn", "state", "established"]).stdout

    assert until(connected)
    assert gone(lab, "calling")
    assert gone(lab, "called")
    assert lab.delete("Service", "shop", "short-lived")


def test_labels_of_a_running_pod_change_without_a_restart(lab: Lab) -> None:
    lab.apply_objects([pod("marked", container(port=80), labels={"a": "1"})])
    before = stored(lab, "marked")
    lab.apply_objects([pod("marked", container(port=80), labels={"a": "2"})])
    after = stored(lab, "marked")
    assert before is not None
    assert after is not None
    assert after["metadata"]["labels"] == {"a": "2"}
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
    assert gone(lab, "marked")


def test_a_pod_whose_sandbox_is_killed_is_replaced(lab: Lab) -> None:
    before = next(p for p in lab.objects("Pod") if p["metadata"]["labels"].get("app") == "client")
    os.kill(lab.call("enter", namespace="shop", pod=before["metadata"]["name"])["pid"], signal.SIGKILL)
    assert until(lambda: stored(lab, before["metadata"]["name"]) is None)
    lab.wait([("Deployment", "shop", "client")])
    assert lab.probe("shop/client", "svc:shop/web:80/TCP").reachable


def test_nobody_answers_for_a_pod_or_host_that_is_not_there(lab: Lab) -> None:
    cells = [("shop/client", ip, 80, "TCP", 6 if ":" in ip else 4)
             for ip in ("10.244.1.99", "fd00:10:244:1::99", "9.9.9.9", "2620:fe::9", "10.0.99.1", "203.0.113.250")]  # fmt: skip
    assert {r.reason for r in lab.probe_many(cells, timeout=0.5)} == {"timeout"}
