"""The variants of the flow object: loads the best one that this kernel takes, and says what that means."""

from __future__ import annotations

import struct
from dataclasses import asdict
from typing import Final

from eastwest.agent import abi, loader
from eastwest.agent.sizes import NO_POLICY, PolicySizes, Sizes
from eastwest.model.batch import HookStatus

POLICY_MAPS: Final = (
    "policy_state",
    "identities",
    "policed",
    "pod_addresses",
    "pod_ranges",
    "cells",
    "ports",
    "links",
)
"""What a plan becomes; docs/enforcement.md says what each holds, agent/policy/abi.py how."""
_MAPS: Final = (
    "flows",
    "overflow",
    "interfaces",
    "held",
    "listeners",
    "owners",
    "epoch",
    "records",
    "dns_tail",
    "scratch",
    "hints",
    "fragments",
    *POLICY_MAPS,
)
_PROGRAMS: Final = ("ew_from_pod", "ew_to_pod", "ew_drain")
_CONNTRACK_COLUMNS: Final = ("service_ip", "service_port")
_VARIANTS: Final = ("flow_lookup", "flow_conntrack", "flow")
"""The best first: looks connections up in conntrack, reads what it says of a packet, does without."""
LOOKUP_HOOK: Final = "conntrack_lookup"
"""Refused: FORWARD looks at every packet of a pod, not only at the first of a connection."""


def load_best(
    sizes: Sizes, policy: PolicySizes | None, dns_ports: tuple[int, ...], choose: loader.Chooser
) -> tuple[loader.LoadedObject, tuple[HookStatus, ...]]:
    """The best object that this kernel takes, and what that means. `policy` None: nothing is enforced."""
    entries = {"flows": sizes.flows, "overflow": sizes.overflow, "records": sizes.records}
    entries |= asdict(policy or NO_POLICY)
    four = (*dns_ports, 0, 0, 0, 0)[:4]
    constants = {".rodata.enforcing": bytes([policy is not None]), ".rodata.dns_at": struct.pack("<4H", *four)}
    refusals: dict[str, str] = {}
    for name in _VARIANTS if policy is not None else _VARIANTS[1:]:
        try:
            found = loader.load(name, _MAPS, _PROGRAMS, abi.STRUCTS, entries, constants=constants, choose=choose)
            break
        except loader.LoadError as refusal:
            if name == _VARIANTS[-1] or isinstance(refusal, loader.StaleObjectError):
                raise
            refusals[name] = str(refusal)
    hooks = [HookStatus("tcx", "on"), _conntrack("conntrack", refusals.get("flow_conntrack"), _CONNTRACK_COLUMNS)]
    if policy is not None:
        hooks.append(_conntrack(LOOKUP_HOOK, refusals.get("flow_lookup"), ()))
    return found, tuple(hooks)


def _conntrack(name: str, refusal: str | None, columns: tuple[str, ...]) -> HookStatus:
    return HookStatus(name, "on") if refusal is None else HookStatus(name, "refused", refusal, columns)
