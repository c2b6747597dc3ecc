"""Objects of any shape: parsed or reported, never a crash, and a policy is never taken half."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from eastwest.k8s.inventory import Inventory
from eastwest.k8s.manifests import parse
from eastwest.k8s.raw import RawObject
from eastwest.k8s.sources import ObjectSource
from eastwest.k8s.write import cluster_files
from k8s.factories_k8s import addresses, ns

KINDS = {
    "Namespace": "v1", "Node": "v1", "Pod": "v1", "Service": "v1", "Endpoints": "v1", "ReplicationController": "v1",
    "Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1",
    "Job": "batch/v1", "CronJob": "batch/v1", "EndpointSlice": "discovery.k8s.io/v1",
    "NetworkPolicy": "networking.k8s.io/v1", "ClusterNetworkPolicy": "policy.networking.k8s.io/v1alpha2",
}  # fmt: skip
KEYS = st.sampled_from(
    [
        "metadata",
        "name",
        "namespace",
        "labels",
        "annotations",
        "ownerReferences",
        "controller",
        "kind",
        "uid",
        "spec",
        "status",
        "template",
        "jobTemplate",
        "selector",
        "matchLabels",
        "matchExpressions",
        "key",
        "operator",
        "values",
        "podSelector",
        "namespaceSelector",
        "ipBlock",
        "cidr",
        "except",
        "ingress",
        "egress",
        "from",
        "to",
        "ports",
        "port",
        "protocol",
        "endPort",
        "policyTypes",
        "tier",
        "priority",
        "subject",
        "namespaces",
        "pods",
        "nodes",
        "networks",
        "domainNames",
        "action",
        "protocols",
        "tcp",
        "destinationPort",
        "number",
        "range",
        "start",
        "end",
        "containers",
        "initContainers",
        "containerPort",
        "hostNetwork",
        "nodeName",
        "phase",
        "podIP",
        "podIPs",
        "ip",
        "addresses",
        "address",
        "type",
        "clusterIP",
        "clusterIPs",
        "externalIPs",
        "loadBalancer",
        "targetPort",
        "nodePort",
        "endpoints",
        "subsets",
        "conditions",
        "ready",
        "podCIDR",
        "podCIDRs",
        "restartPolicy",
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 70_000), st.floats(allow_nan=False),
    st.sampled_from(["a", "", "10.0.0.1", "10.0.0.0/8", "::/0", "In", "Exists", "TCP", "Ingress", "Admin", "Accept", "Running",
                     "Succeeded", "http", "None", "ClusterIP", "Deployment", "a/b", "x" * 300]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)


@st.composite
def objects(draw: st.DrawFn) -> RawObject:
    kind = draw(st.sampled_from(sorted(KINDS)))
    body: dict[str, Any] = draw(st.dictionaries(KEYS, VALUES, max_size=4))
    if draw(st.booleans()):
        body["metadata"] = {"name": "a", "namespace": "b", **draw(st.dictionaries(KEYS, VALUES, max_size=3))}
    return RawObject({**body, "apiVersion": KINDS[kind], "kind": kind}, "f.yaml", 1)


@settings(max_examples=500, deadline=None)
@given(st.lists(objects(), max_size=4))
def test_any_objects_are_parsed_or_reported(raws: list[RawObject]) -> None:
    raws = [RawObject(raw.body, raw.file, line) for line, raw in enumerate(raws, 1)]
    state, problems = parse(raws)
    for policy in (*state.network_policies, *state.cluster_network_policies):
        refused = f"{type(policy).__name__} "
        mine = [p for p in problems if p.severity == "error" and p.object.startswith(refused)]
        assert not any(
            p.object.endswith((f" {policy.name}", f"/{policy.name}")) and p.line == policy.line for p in mine
        )
    for pod in state.pods:
        assert isinstance(pod.name, str)
        assert all(isinstance(k, str) and isinstance(v, str) for k, v in pod.labels.items())


@settings(max_examples=300, deadline=None)
@given(st.lists(objects(), max_size=4))
def test_any_objects_pass_through_an_inventory_and_a_bundle(raws: list[RawObject]) -> None:
    made = Inventory([ObjectSource(raws)])
    made.poll()
    made.state_at(5)
    made.state_within(0, 10)
    made.naming().resolve(addresses("10.0.0.1"), ns(1), ns(2))
    made.naming().resolve_service(addresses("10.0.0.1"), np.array([1], np.uint16), ns(1), ns(2))
    cluster_files(made.versions(0, 10))
