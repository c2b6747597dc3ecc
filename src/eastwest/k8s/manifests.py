"""Raw objects to the typed cluster: `load_raw` finds them, `parse` gives them their types.

Defaulting and validation happen here, once, as the API server does them; `policy` and `collector` only see
`ClusterState`. Objects of other kinds are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from pathlib import Path
from typing import Final

from eastwest.k8s.clusterpol import GROUP as CLUSTER_POLICY_GROUP
from eastwest.k8s.clusterpol import cluster_network_policy
from eastwest.k8s.fields import Reader
from eastwest.k8s.netpol import network_policy
from eastwest.k8s.raw import Problem, RawObject, Severity, load_raw, load_text
from eastwest.k8s.services import endpoint_addresses, named_namespace, namespace, node, service
from eastwest.k8s.workloads import TEMPLATES, TERMINATED, Owner, Owners, owner, pod
from eastwest.model.cluster import ClusterState, Namespace, Node, Pod, Service
from eastwest.model.policy import ClusterNetworkPolicy, NetworkPolicy

__all__ = ["Problem", "RawObject", "Severity", "load", "load_raw", "load_text", "parse"]

_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "NetworkPolicy": ("networking.k8s.io", "extensions"),
    "ClusterNetworkPolicy": (CLUSTER_POLICY_GROUP,),
    "EndpointSlice": ("discovery.k8s.io",),
    "Job": ("batch",),
    "CronJob": ("batch",),
    **dict.fromkeys(("Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"), ("apps", "extensions")),
}
_OTHER_POLICIES: Final = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "CiliumNetworkPolicy",
                          "CiliumClusterwideNetworkPolicy", "GlobalNetworkPolicy")  # fmt: skip


@dataclass(slots=True)
class _Parts:
    """What was parsed so far."""

    namespaces: dict[str, Namespace] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    pods: list[Pod] = field(default_factory=list)
    owners: list[Owner] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    endpoints: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    policies: list[NetworkPolicy] = field(default_factory=list)
    cluster_policies: list[ClusterNetworkPolicy] = field(default_factory=list)


def load(path: Path | str) -> tuple[ClusterState, list[Problem]]:
    """The cluster in a file or a folder of manifests, and everything that was wrong with it."""
    raws, problems = load_raw(path)
    state, more = parse(raws)
    return state, problems + more


def parse(raws: Iterable[RawObject]) -> tuple[ClusterState, list[Problem]]:
    """Typed objects, in the order given; a later object of the same kind, namespace and name replaces the earlier.

    Workloads without a running pod get one stand-in pod (uid None). Namespaces that are used but not given are made.
    """
    problems: list[Problem] = []
    parts = _Parts()
    for raw in _latest(raws, problems):
        _PARSERS[raw.kind](Reader(raw, problems), parts)
    owners = Owners(parts.owners)
    running = [owners.resolve(p) for p in parts.pods if p.phase not in TERMINATED]
    pods = [*running, *owners.stand_ins(running)]
    services = [
        replaced(s, endpoint_ips=parts.endpoints[key]) if (key := (s.namespace, s.name)) in parts.endpoints else s
        for s in parts.services
    ]
    used: list[Pod | Service | NetworkPolicy] = [*pods, *services, *parts.policies]
    for thing in used:
        if thing.namespace not in parts.namespaces:
            parts.namespaces[thing.namespace] = named_namespace(thing.namespace)
            problems.append(_assumed(thing))
    state = ClusterState(
        namespaces=tuple(parts.namespaces.values()),
        nodes=tuple(parts.nodes),
        pods=tuple(pods),
        services=tuple(services),
        network_policies=tuple(parts.policies),
        cluster_network_policies=tuple(parts.cluster_policies),
    )
    return state, problems


def _latest(raws: Iterable[RawObject], problems: list[Problem]) -> list[RawObject]:
    """The objects of known kinds; of two with one identity the last, with a warning."""
    kept: dict[tuple[str, str, str], RawObject] = {}
    for raw in raws:
        if raw.kind not in _PARSERS or raw.group not in _GROUPS.get(raw.kind, ("",)):
            if raw.kind in (*_OTHER_POLICIES, *_GROUPS) and raw.kind.endswith("Policy"):
                problems.append(raw.problem("warning", (), f"{raw.api_version} {raw.kind} is not evaluated"))
            continue
        if not raw.name:
            problems.append(raw.problem("error", ("metadata", "name"), "must not be empty"))
            continue
        key = (raw.kind, raw.scope, raw.name)
        earlier = kept.pop(key, None)
        if earlier is not None:
            where = f"{earlier.file}:{earlier.line}"
            problems.append(raw.problem("warning", (), f"stands also in {where}; the later one counts"))
        kept[key] = raw
    return list(kept.values())


def _assumed(thing: Pod | Service | NetworkPolicy) -> Problem:
    if isinstance(thing, NetworkPolicy):
        file, line = thing.file or "", thing.line
    else:
        file, line = (thing.origin.file, thing.origin.line) if thing.origin else ("", 0)
    message = f"not in the files; assumed with the label kubernetes.io/metadata.name={thing.namespace}"
    return Problem("note", message, file, line, "", f"Namespace {thing.namespace}")


def _namespace(reader: Reader, parts: _Parts) -> None:
    found = namespace(reader)
    parts.namespaces[found.name] = found


def _endpoints(reader: Reader, parts: _Parts) -> None:
    space, name, addresses = endpoint_addresses(reader)
    before = parts.endpoints.get((space, name), ())
    parts.endpoints[space, name] = tuple(dict.fromkeys((*before, *addresses)))


def _network_policy(reader: Reader, parts: _Parts) -> None:
    found = network_policy(reader)
    if found is not None:
        parts.policies.append(found)


def _cluster_network_policy(reader: Reader, parts: _Parts) -> None:
    found = cluster_network_policy(reader)
    if found is not None:
        parts.cluster_policies.append(found)


_PARSERS: Final[dict[str, Callable[[Reader, _Parts], None]]] = {
    "Namespace": _namespace,
    "Node": lambda reader, parts: parts.nodes.append(node(reader)),
    "Pod": lambda reader, parts: parts.pods.append(pod(reader)),
    "Service": lambda reader, parts: parts.services.append(service(reader)),
    "EndpointSlice": _endpoints,
    "Endpoints": _endpoints,
    "NetworkPolicy": _network_policy,
    "ClusterNetworkPolicy": _cluster_network_policy,
    **dict.fromkeys(TEMPLATES, lambda reader, parts: parts.owners.append(owner(reader))),
}
