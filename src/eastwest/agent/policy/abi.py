"""The policy maps' structs as numpy types: a mirror of bpf/flow/policy.h, compared with the objects' BTF by a test."""

from __future__ import annotations

from typing import Final

import numpy as np

EGRESS: Final = 0
"""Index of a side in POLICED."""
INGRESS: Final = 1

SET_BITS: Final = 32
"""What an LPM key's prefix counts before the address or the row."""

MODES: Final = ("off", "audit", "enforce")
"""Indexed by enum ew_mode."""

RULINGS: Final = ("none", "allow", "deny")
"""Indexed by enum ew_ruling."""

KERNEL_REASONS: Final = {
    0xFFFF_FFFF: "posture",
    0xFFFF_FFFE: "own_node",
    0xFFFF_FFFD: "itself",
    0xFFFF_FFFC: "spoofed",
    0xFFFF_FFFB: "fragment",
    0xFFFF_FFFA: "truncated",
    0xFFFF_FFF9: "undecided",
    0xFFFF_FFF8: "no_table",
}
"""EW_REASON_…: reasons the kernel gives by itself; all others are the plan's."""

POLICY_STATE: Final = np.dtype([("generation", "u4"), ("posture", "u1"), ("unknown_mode", "u1"), ("pad", "u1", 2)])
ADDRESS_KEY: Final = np.dtype([("prefix", "u4"), ("set", "u4"), ("address", "u1", 16)])
IDENTITY: Final = np.dtype([("identity", "u4"), ("kind", "u4")])
POLICED_KEY: Final = np.dtype([("set", "u4"), ("ifindex", "u4")])
SIDE: Final = np.dtype([("mode", "u4"), ("table", "u4"), ("row", "u4")])
POLICED: Final = np.dtype([("side", SIDE, 2)])
POD_ADDRESS_KEY: Final = np.dtype([("set", "u4"), ("address", "u1", 16)])
CELL_KEY: Final = np.dtype([("set", "u4"), ("table", "u4"), ("identity", "u4")])
PORT_KEY: Final = np.dtype(
    [("prefix", "u4"), ("set", "u4"), ("row", "u4"), ("protocol", "u1"), ("port", "u1", 2), ("pad", "u1")]
)
DECISION: Final = np.dtype([("reason", "u4"), ("ruling", "u4")])

STRUCTS: Final = {
    "ew_policy_state": POLICY_STATE,
    "ew_address_key": ADDRESS_KEY,
    "ew_identity": IDENTITY,
    "ew_policed_key": POLICED_KEY,
    "ew_side": SIDE,
    "ew_policed": POLICED,
    "ew_pod_address_key": POD_ADDRESS_KEY,
    "ew_cell_key": CELL_KEY,
    "ew_port_key": PORT_KEY,
    "ew_decision": DECISION,
}
"""By C name, for the layout test."""
