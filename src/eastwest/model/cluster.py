"""The cluster as plain typed values: what `k8s` reads, `policy` evaluates and `collector` names ends with.

Field names follow the Kubernetes API in snake_case. No parsing and no defaulting happens here: `k8s` does both
once, at the boundary. Addresses are text in canonical form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from eastwest.model.flow import Workload
from eastwest.model.policy import ClusterNetworkPolicy, NetworkPolicy

Labels = Mapping[str, str]

GENERATED_LABELS: Final = frozenset(
    {
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "controller-uid",
        "job-name",
        "batch.kubernetes.io/controller-uid",
        "batch.kubernetes.io/job-name",
        "batch.kubernetes.io/job-completion-index",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
    }
)
"""Labels that controllers put on single pods or revisions; they never name a workload."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object was read from, for messages: a file and line, or a live API ("api")."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Namespace:
    name: str
    labels: Labels = field(default_factory=dict)  # always holds kubernetes.io/metadata.name
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    labels: Labels = field(default_factory=dict)
    ips: tuple[str, ...] = ()  # status.addresses of type InternalIP, then ExternalIP
    pod_cidrs: tuple[str, ...] = ()
    provider_id: str | None = None
    zone: str | None = None  # label topology.kubernetes.io/zone
    region: str | None = None  # label topology.kubernetes.io/region
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ContainerPort:
    port: int
    protocol: str = "TCP"  # TCP, UDP or SCTP
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """A running pod, or (uid None, ips empty) the stand-in for a workload known from its manifest only."""

    namespace: str
    name: str
    workload: Workload
    uid: str | None = None
    labels: Labels = field(default_factory=dict)
    ips: tuple[str, ...] = ()
    node: str | None = None
    host_network: bool = False
    ports: tuple[ContainerPort, ...] = ()
    phase: str | None = None  # Pending, Running, Succeeded, Failed; None when not running
    selector: Mapping[str, str] | None = None  # the owner's own matchLabels, when the owner is known
    annotations: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None
    ready: bool | None = field(default=None, compare=False)
    """Condition Ready; None when nobody has said yet, or the pod is being deleted. Not compared: policies ignore it."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    port: int
    protocol: str = "TCP"
    name: str | None = None
    target_port: int | str | None = None  # None = same as port; text = a named container port
    node_port: int | None = None


@dataclass(frozen=True, slots=True)
class Service:
    namespace: str
    name: str
    type: str = "ClusterIP"  # ClusterIP, NodePort, LoadBalancer, ExternalName
    selector: Mapping[str, str] = field(default_factory=dict)
    cluster_ips: tuple[str, ...] = ()  # empty for headless
    load_balancer_ips: tuple[str, ...] = ()  # status.loadBalancer.ingress[].ip and spec.externalIPs
    ports: tuple[ServicePort, ...] = ()
    external_traffic_policy: str = "Cluster"
    endpoint_ips: tuple[str, ...] = ()  # ready addresses of its EndpointSlices: all a Service without selector has
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The whole cluster at one moment."""

    namespaces: tuple[Namespace, ...] = ()
    nodes: tuple[Node, ...] = ()
    pods: tuple[Pod, ...] = ()
    services: tuple[Service, ...] = ()
    network_policies: tuple[NetworkPolicy, ...] = ()
    cluster_network_policies: tuple[ClusterNetworkPolicy, ...] = ()
