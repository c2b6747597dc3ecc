"""A plan's rows, and what only the node knows, as entries of the kernel's tables. Pure and vectorised.

An entry is the key, without its set, and the value; `in_set` puts the set in. Entries are kept in canonical order.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.policy import abi
from eastwest.model.flow import ip_bytes
from eastwest.model.plan import OWN_NODE, IdentityKind, Mode, NodePlan, Side
from eastwest.wire.plan_rows import canonical

Entries = NDArray[Any]
"""(n,) with fields `key` and `value`."""


def _entry(key: np.dtype[Any], value: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype([("key", key), ("value", value)])


_U32: Final = np.dtype("u4")
ENTRY: Final = {
    "identities": _entry(abi.ADDRESS_KEY, abi.IDENTITY),
    "policed": _entry(abi.POLICED_KEY, abi.POLICED),
    "pod_addresses": _entry(abi.POD_ADDRESS_KEY, _U32),
    "pod_ranges": _entry(abi.ADDRESS_KEY, _U32),
    "cells": _entry(abi.CELL_KEY, _U32),
    "ports": _entry(abi.PORT_KEY, abi.DECISION),
}
"""By the name of the map; `links` has no sets and is kept apart."""

_MODE: Final = {Mode(word): number for number, word in enumerate(abi.MODES)}
_PORT_PREFIX_BITS: Final = 64  # set and row
_FULL: Final = 128


@dataclass(frozen=True, slots=True)
class LocalPod:
    """A hooked interface: its pod's sides. `addresses`: what is known of the pod's own."""

    ifindex: int
    egress: Side
    ingress: Side
    addresses: tuple[str, ...] = ()


def identities(plan: NodePlan, own: Iterable[str]) -> Entries:
    """The plan's prefixes, and the node's own addresses, which win over the plan's."""
    mine = np.zeros(len(addresses := sorted(set(own))), ENTRY["identities"])
    for entry, address in zip(mine, addresses, strict=True):
        _prefix(entry["key"], address, _FULL)
        entry["value"]["identity"], entry["value"]["kind"] = OWN_NODE, IdentityKind.OTHER
    rows = plan.identities
    if len(mine) and len(rows):
        held = {m.tobytes() for m in mine["key"]["address"]}
        whole = np.flatnonzero(rows["length"] == _FULL)
        hidden = [i for i in whole.tolist() if rows["address"][i].tobytes() in held] if len(held) else []
        rows = np.delete(rows, hidden)
    found = np.zeros(len(rows), ENTRY["identities"])
    found["key"]["prefix"] = abi.SET_BITS + rows["length"].astype(np.uint32)
    found["key"]["address"] = rows["address"]
    found["value"]["identity"], found["value"]["kind"] = rows["identity"], rows["kind"]
    return canonical(np.concatenate([found, mine]))


def cells(plan: NodePlan) -> Entries:
    found = np.zeros(len(plan.cells), ENTRY["cells"])
    found["key"]["table"], found["key"]["identity"] = plan.cells["table"], plan.cells["identity"]
    found["value"] = plan.cells["row"]
    return canonical(found)


def ports(plan: NodePlan, numbers: NDArray[np.uint32]) -> Entries:
    """`numbers[i]` is the kernel's number of `plan.reasons[i]`."""
    found = np.zeros(len(plan.ports), ENTRY["ports"])
    key, value = found["key"], found["value"]
    key["prefix"] = _PORT_PREFIX_BITS + plan.ports["length"].astype(np.uint32)
    key["row"], key["protocol"] = plan.ports["row"], plan.ports["protocol"]
    key["port"] = plan.ports["port"].astype(">u2").view(np.uint8).reshape(-1, 2)
    value["reason"], value["ruling"] = numbers[plan.ports["reason"]], plan.ports["ruling"]
    return canonical(found)


def pod_ranges(plan: NodePlan) -> Entries:
    found = np.zeros(len(plan.ranges), ENTRY["pod_ranges"])
    for entry, text in zip(found, plan.ranges, strict=True):
        network = ipaddress.ip_network(text)
        bits = network.prefixlen + (96 if network.version == 4 else 0)
        _prefix(entry["key"], str(network.network_address), bits)
        entry["value"] = 1
    return canonical(found)


def policed(pods: Iterable[LocalPod]) -> Entries:
    rows = list(pods)
    found = np.zeros(len(rows), ENTRY["policed"])
    for entry, pod in zip(found, rows, strict=True):
        entry["key"]["ifindex"] = pod.ifindex
        for number, side in ((abi.EGRESS, pod.egress), (abi.INGRESS, pod.ingress)):
            entry["value"]["side"][number] = (_MODE[side.mode], side.table, side.row)
    return canonical(found)


def pod_addresses(interface_of: Mapping[str, int]) -> Entries:
    """Address -> interface index, 0 where the pod has none yet."""
    found = np.zeros(len(interface_of), ENTRY["pod_addresses"])
    for entry, (address, ifindex) in zip(found, interface_of.items(), strict=True):
        entry["key"]["address"] = np.frombuffer(ip_bytes(address), np.uint8)
        entry["value"] = ifindex
    return canonical(found)


def in_set(entries: Entries, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """(keys, values) as the map takes them, for set 0 or 1."""
    keys = np.ascontiguousarray(entries["key"]).copy()
    keys["set"] = number
    return keys, np.ascontiguousarray(entries["value"])


def _prefix(key: NDArray[Any], address: str, bits: int) -> None:
    key["prefix"] = abi.SET_BITS + bits
    key["address"] = np.frombuffer(ip_bytes(address), np.uint8)
