"""Which pods are on which interfaces, and what a plan says of each. Pure.

A pod's UID comes from the chained CNI plugin, which knows it before the pod has a process, else from its processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from eastwest.agent.interfaces import Interface, State
from eastwest.agent.policy.entries import LocalPod
from eastwest.model.plan import Mode, NodePlan, Side

_NOTHING: Final = Side(Mode.OFF, 0, 0)
NO_INTERFACE: Final = "no interface of this pod is hooked on this node yet"


@dataclass(frozen=True, slots=True)
class Announced:
    """What a CNI plugin said of an interface before its pod began."""

    uid: str
    namespace: str = ""
    name: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bound:
    """A hooked interface and the pod behind it."""

    ifindex: int
    uid: str
    namespace: str = ""
    addresses: tuple[str, ...] = ()


def bindings(
    interfaces: Iterable[Interface],
    announced: Mapping[int, Announced],
    no_pods: frozenset[int],
    addresses_of: Callable[[Interface], tuple[str, ...]] = lambda _: (),
) -> tuple[Bound, ...]:
    """Every hooked interface whose pod is known, by index. What no one knows follows the posture by its address.

    `addresses_of` may find addresses of a pod that nobody told.
    """
    found = []
    for i in interfaces:
        if i.gone or not i.hooks or i.state not in (State.HELD, State.LIVE) or i.ifindex in no_pods:
            continue
        said = announced.get(i.ifindex)
        if said is not None:
            found.append(Bound(i.ifindex, said.uid, said.namespace, said.addresses))
        elif i.pod_uid is not None:
            found.append(Bound(i.ifindex, i.pod_uid, "", addresses_of(i)))
    return tuple(sorted(found, key=lambda b: b.ifindex))


def local_pods(plan: NodePlan, bound: Iterable[Bound], *, egress: bool = True) -> tuple[list[LocalPod], dict[str, int]]:
    """(interfaces with what holds for them, address of a pod -> its interface or 0).

    Without `egress`, which this kernel cannot see, nothing is evaluated in that direction rather than half of it.
    """
    known = {p.uid: p for p in plan.pods}
    modes = namespace_modes(plan)
    interface_of = {address: 0 for pod in plan.pods for address in pod.addresses}
    found = []
    for b in bound:
        pod = known.get(b.uid)
        if pod is not None:
            addresses = tuple(dict.fromkeys((*pod.addresses, *b.addresses)))
            found.append(LocalPod(b.ifindex, pod.egress if egress else _NOTHING, pod.ingress, addresses))
        else:
            out, inward = modes.get(b.namespace, (plan.unknown_mode, plan.unknown_mode))
            found.append(LocalPod(b.ifindex, Side(out, 0, 0) if egress else _NOTHING, Side(inward, 0, 0), b.addresses))
        for address in found[-1].addresses:
            interface_of[address] = interface_of.get(address) or b.ifindex
    return found, interface_of


def evaluated(plan: NodePlan, namespace: str) -> bool:
    """Whether anything is evaluated for a pod of this namespace that the plan does not know."""
    egress, ingress = namespace_modes(plan).get(namespace, (plan.unknown_mode, plan.unknown_mode))
    return egress is not Mode.OFF or ingress is not Mode.OFF


def namespace_modes(plan: NodePlan) -> dict[str, tuple[Mode, Mode]]:
    """(egress, ingress) of each namespace that has pods in the plan: modes are per namespace."""
    return {p.namespace: (p.egress.mode, p.ingress.mode) for p in plan.pods}
