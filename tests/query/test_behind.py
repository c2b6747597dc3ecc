"""An unanswered call to a Service, and what the backend's node told of the same caller."""

from __future__ import annotations

from typing import Any

import pytest

from eastwest.model.cluster import ClusterState, ContainerPort, Pod, Service, ServicePort
from eastwest.model.flow import Workload
from eastwest.query.behind import explain

REASON = "ingress of carts/carts from ui/ui TCP 8080"
CARTS = Pod(
    "carts", "carts-1", Workload("carts", "Deployment", "carts"), "u1", {"app": "carts"}, ("10.0.1.1",),
    ports=(ContainerPort(8080, name="http"),),
)  # fmt: skip
SELECTED: dict[str, Any] = {"selector": {"app": "carts"}}


def state(target_port: int | str | None = 8080, **service: Any) -> ClusterState:
    given = {"ports": (ServicePort(80, target_port=target_port),)} | (service or SELECTED)
    return ClusterState(pods=(CARTS,), services=(Service("carts", "carts", **given),))


def edge(
    target: str, port: int, verdict: str | None = None, missing: str | None = None, **values: Any
) -> dict[str, Any]:
    row = {"source": "workload:ui/Deployment/ui", "target": target, "protocol": "TCP", "dst_port": port}
    return row | {"verdict": verdict, "missing": missing, "packets_reverse": 0} | values


def said(state: ClusterState, denied: dict[str, Any], **call: Any) -> str | None:
    row = edge("service:carts/carts", 80, **call)
    explain([row, denied], state)
    missing = row["missing"]
    assert missing is None or isinstance(missing, str)
    return missing


DENIED = edge("workload:carts/Deployment/carts", 8080, "denied", REASON)


@pytest.mark.parametrize(
    "cluster",
    [state(), state("http"), state(endpoint_ips=("10.0.1.1",))],
    ids=["by number", "by name", "without a selector"],
)
def test_the_other_ends_reason_is_said(cluster: ClusterState) -> None:
    assert said(cluster, DENIED) == f"unanswered: the other end denied it: {REASON}"


def test_of_pods_too() -> None:
    denied = edge("pod:carts/carts-1", 8080, "partly", REASON, source="pod:ui/ui-1")
    assert said(state(), denied, source="pod:ui/ui-1") == f"unanswered: the other end denied it: {REASON}"


@pytest.mark.parametrize(
    ("cluster", "denied", "call"),
    [
        (state(), DENIED, {"packets_reverse": 1}),
        (state(), DENIED, {"verdict": "denied", "missing": None}),
        (state(), DENIED, {"source": "workload:ui/Deployment/other"}),
        (state(), DENIED, {"protocol": "UDP"}),
        (state(), DENIED, {"dst_port": 81}),
        (state(9090), DENIED, {}),
        (state("grpc"), DENIED, {}),
        (state(selector={"app": "orders"}), DENIED, {}),
        (state(), DENIED | {"verdict": "would_deny"}, {}),
        (state(), DENIED | {"target": "workload:orders/Deployment/orders"}, {}),
    ],
)
def test_what_is_not_the_same_call_is_not_said(
    cluster: ClusterState, denied: dict[str, Any], call: dict[str, Any]
) -> None:
    row = edge("service:carts/carts", 80) | call
    before = dict(row)
    explain([row, denied], cluster)
    assert row == before
