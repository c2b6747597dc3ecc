"""Raw objects to the typed cluster: `load_raw` finds them, `parse` gives them their types.

Defaulting and validation happen here, once, as the API server does them; `policy` and `collector` only see
`ClusterState`. Objects of other kinds are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any, Final

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


class Known:
    """Typed objects of an earlier `parse`: an object that is still the very same is not read again. One user at a time."""

    def __init__(self) -> None:
        self._now: dict[int, tuple[RawObject, _Typed, list[Problem]]] = {}
        self._before = self._now

    def begin(self) -> None:
        self._before, self._now = self._now, {}

    def get(self, raw: RawObject, problems: list[Problem]) -> _Typed:
        found = self._before.get(id(raw))
        if found is None or found[0] is not raw:
            own: list[Problem] = []
            found = raw, _PARSERS[raw.kind][1](Reader(raw, own)), own
        self._now[id(raw)] = found
        problems += found[2]
        return found[1]


def parse(raws: Iterable[RawObject], known: Known | None = None) -> tuple[ClusterState, list[Problem]]:
    """Typed objects, in the order given; a later object of the same kind, namespace and name replaces the earlier.

    Workloads without a running pod get one stand-in pod (uid None). Namespaces that are used but not given are made.
    """
    problems: list[Problem] = []
    parts = _Parts()
    known = known or Known()
    known.begin()
    for raw in _latest(raws, problems):
        _PARSERS[raw.kind][0](parts, known.get(raw, problems))
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


_Typed = Any
"""What the reader of a kind returns; None for an object that is in error."""


def _endpoints(parts: _Parts, found: tuple[str, str, tuple[str, ...]]) -> None:
    space, name, addresses = found
    before = parts.endpoints.get((space, name), ())
    parts.endpoints[space, name] = tuple(dict.fromkeys((*before, *addresses)))


def _namespace(parts: _Parts, found: Namespace) -> None:
    parts.namespaces[found.name] = found


def _network_policy(parts: _Parts, found: NetworkPolicy | None) -> None:
    if found is not None:
        parts.policies.append(found)


def _cluster_network_policy(parts: _Parts, found: ClusterNetworkPolicy | None) -> None:
    if found is not None:
        parts.cluster_policies.append(found)


_PARSERS: Final[dict[str, tuple[Callable[[_Parts, _Typed], None], Callable[[Reader], _Typed]]]] = {
    "Namespace": (_namespace, namespace),
    "Node": (lambda parts, found: parts.nodes.append(found), node),
    "Pod": (lambda parts, found: parts.pods.append(found), pod),
    "Service": (lambda parts, found: parts.services.append(found), service),
    "EndpointSlice": (_endpoints, endpoint_addresses),
    "Endpoints": (_endpoints, endpoint_addresses),
    "NetworkPolicy": (_network_policy, network_policy),
    "ClusterNetworkPolicy": (_cluster_network_policy, cluster_network_policy),
    **dict.fromkeys(TEMPLATES, (lambda parts, found: parts.owners.append(found), owner)),
}
"""By kind: where what was read goes, and how it is read."""
