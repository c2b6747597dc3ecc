"""A node's plan in few words, put into the real tables, and packets that are judged by it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from bpf.flow_bench import IFINDEX, FlowBench, run
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.policy import entries
from eastwest.agent.policy.entries import LocalPod
from eastwest.agent.policy.tables import Stance, Tables
from eastwest.agent.sizes import PolicySizes
from eastwest.model.flow import ip_bytes
from eastwest.model.plan import (
    CELLS,
    IDENTITIES,
    PORTS,
    IdentityKind,
    Mode,
    NodePlan,
    Posture,
    Ruling,
    Side,
)

ALLOW, DENY = Ruling.ALLOW, Ruling.DENY
POD, PEER, OTHER, NODE, WORLD = "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.9.9", "192.0.2.1"
POD6, PEER6, WORLD6 = "fd00::1", "fd00::2", "2001:db8::1"
ME, FRIEND, STRANGER, ELSEWHERE = 1, 2, 3, 4
ISOLATED, OPEN = 1, 2  # rows: nothing, everything

Rule = tuple[int, int, Ruling, int]
"""(protocol, port, ruling, reason); protocol -1: the whole row, port -1: the whole protocol."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Identities by prefix, rows of rules by number, cells (table, identity) -> row. Table 1 is egress, 2 ingress."""

    identities: Mapping[str, tuple[int, IdentityKind]] = field(
        default_factory=lambda: {
            "0.0.0.0/0": (ELSEWHERE, IdentityKind.OTHER),
            "::/0": (ELSEWHERE, IdentityKind.OTHER),
            POD: (ME, IdentityKind.POD),
            POD6: (ME, IdentityKind.POD),
            PEER: (FRIEND, IdentityKind.POD),
            PEER6: (FRIEND, IdentityKind.POD),
            OTHER: (STRANGER, IdentityKind.POD),
        }
    )
    rows: Mapping[int, tuple[Rule, ...]] = field(default_factory=dict)
    cells: Mapping[tuple[int, int], int] = field(default_factory=dict)
    pods: tuple[LocalPod, ...] = ()
    own: tuple[str, ...] = (NODE,)
    ranges: tuple[str, ...] = ()
    stance: Stance = field(default_factory=Stance)
    more_addresses: Mapping[str, int] = field(default_factory=dict)

    def wanted(self) -> dict[str, entries.Entries]:
        plan = NodePlan(
            "node", 1, "", identities=self._identities(), cells=self._cells(), ports=self._ports(), ranges=self.ranges
        )
        addresses = {a: pod.ifindex for pod in self.pods for a in pod.addresses}
        return {
            "identities": entries.identities(plan, self.own),
            "policed": entries.policed(self.pods),
            "pod_addresses": entries.pod_addresses({**addresses, **self.more_addresses}),
            "pod_ranges": entries.pod_ranges(plan),
            "cells": entries.cells(plan),
            "ports": entries.ports(plan, np.arange(1 << 12, dtype=np.uint32)),
        }

    def _identities(self) -> np.ndarray[Any, Any]:
        found = np.zeros(len(self.identities), IDENTITIES)
        for row, (text, (identity, kind)) in zip(found, self.identities.items(), strict=True):
            network = ipaddress.ip_network(text)
            row["address"] = np.frombuffer(ip_bytes(str(network.network_address)), np.uint8)
            row["length"] = network.prefixlen + (96 if network.version == 4 else 0)
            row["identity"], row["kind"] = identity, kind
        return found

    def _cells(self) -> np.ndarray[Any, Any]:
        return np.array([(table, who, row) for (table, who), row in self.cells.items()], CELLS)

    def _ports(self) -> np.ndarray[Any, Any]:
        everything = {ISOLATED: ((-1, -1, DENY, 900),), OPEN: ((-1, -1, ALLOW, 901),), **self.rows}
        found = [(row, rule) for row, rules in everything.items() for rule in rules]
        result = np.zeros(len(found), PORTS)
        for entry, (row, (protocol, port, ruling, reason)) in zip(result, found, strict=True):
            entry["row"], entry["reason"], entry["ruling"] = row, reason, ruling
            entry["protocol"], entry["port"] = max(protocol, 0), max(port, 0)
            entry["length"] = 0 if protocol < 0 else 8 if port < 0 else 24
        return result


def pod(
    ifindex: int = IFINDEX,
    addresses: tuple[str, ...] = (POD, POD6),
    *,
    egress: int = OPEN,
    ingress: int = OPEN,
    mode: Mode = Mode.ENFORCE,
) -> LocalPod:
    """`egress`, `ingress`: default rows; 0: the plan does not know the pod."""
    return LocalPod(ifindex, Side(mode, 1, egress), Side(mode, 2, ingress), addresses)


def only(egress: tuple[Rule, ...] = (), ingress: tuple[Rule, ...] = (), **pod_options: Any) -> Plan:
    """The pod is isolated in both directions, but for these rules with FRIEND."""
    isolated: Rule = (-1, -1, DENY, 900)
    return Plan(
        rows={10: (isolated, *egress), 20: (isolated, *ingress)},
        cells={(1, FRIEND): 10, (2, FRIEND): 20},
        pods=(pod(egress=ISOLATED, ingress=ISOLATED, **pod_options),),
    )


def tables_of(kernel: FlowKernel) -> Tables:
    limits = {name: getattr(PolicySizes(), name) for name in entries.ENTRY}
    return Tables(kernel.maps, limits)


@dataclass
class PolicyBench(FlowBench):
    """Interface 1 is the pod's. `put` replaces what is in force."""

    enforcing: bool = True

    def __enter__(self) -> Self:
        super().__enter__()
        self.tables = tables_of(self.kernel)
        return self

    def __exit__(self, *_: object) -> None:
        self.tables.close()
        super().__exit__()

    def put(self, plan: Plan) -> None:
        self.tables.switch(plan.wanted(), plan.stance)

    def sends(self, frame: bytes) -> bool:
        """Whether what the pod sends passes."""
        return self._passes("ew_from_pod", frame)

    def gets(self, frame: bytes) -> bool:
        return self._passes("ew_to_pod", frame)

    def _passes(self, program: str, frame: bytes) -> bool:
        result = run(self.kernel.programs[program], frame)[0]
        assert result in (0xFFFFFFFF, 2)
        return result == 0xFFFFFFFF


def unknown_pods(mode: Mode, posture: Posture, plan: Plan | None = None) -> Plan:
    """Nobody knows the pod; its address is one of this node's pods'."""
    return replace(plan or Plan(), ranges=("10.0.0.0/24", "fd00::/64"), stance=Stance(posture, mode))
