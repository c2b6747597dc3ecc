from __future__ import annotations

import numpy as np
import pytest

from eastwest.agent.drop.edges import attribute
from eastwest.agent.drop.ledger import DROP
from eastwest.agent.drop.record import Flag
from eastwest.agent.edges import KEY
from eastwest.model.flow import ip_bytes

NODE, A, B = 100, 200, 300  # namespaces
IFINDEX = {A: 7, B: 8}


def drop(**fields: object) -> np.ndarray:
    made = np.zeros(1, DROP)
    made["key"]["src"] = np.frombuffer(ip_bytes("10.0.0.1"), np.uint8)
    made["key"]["dst"] = np.frombuffer(ip_bytes("10.0.0.2"), np.uint8)
    made["key"]["protocol"] = 6
    for name, value in fields.items():
        made["key"][name] = value
    return made


def nothing(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((len(keys), 8), np.uint64), np.zeros(len(keys), bool)


@pytest.mark.parametrize(
    ("netns", "owner", "interface", "expected"),
    [(A, 0, 2, 7), (NODE, A, 3, 7), (NODE, 0, 8, 8), (NODE, 0, 3, 0), (NODE, NODE, 3, 0), (B, A, 2, 7)],
)
def test_whose_packet_it_was(netns: int, owner: int, interface: int, expected: int) -> None:
    got = attribute(drop(netns=netns, owner_netns=owner, ifindex=interface), IFINDEX, NODE, nothing)
    assert got.ifindex.tolist() == [expected]
    assert got.has_edge.tolist() == [False]


@pytest.mark.parametrize(("netns", "owner", "role"), [(NODE, A, 1), (B, 0, 2)])
def test_a_syn_tells_the_edge_by_itself(netns: int, owner: int, role: int) -> None:
    flags = Flag.PARSED | Flag.PORTS | Flag.TO_SERVER
    got = attribute(drop(netns=netns, owner_netns=owner, dst_port=80, flags=flags), IFINDEX, NODE, nothing)
    key = got.words.view(KEY).reshape(-1)[0]
    assert (bytes(key["src"]), bytes(key["dst"]), key["dst_port"], key["src_port"], key["role"]) == (
        ip_bytes("10.0.0.1"), ip_bytes("10.0.0.2"), 80, 0, role,
    )  # fmt: skip


def test_others_ask_the_flow_map_from_both_sides() -> None:
    asked = []

    def resolve(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.extend(keys[["pod_port", "peer_port", "ifindex"]].tolist())
        return np.ones((len(keys), 8), np.uint64), keys["pod_port"] == 80

    got = attribute(drop(netns=B, src_port=40000, dst_port=80, flags=Flag.PARSED | Flag.PORTS), IFINDEX, NODE, resolve)
    assert asked == [(40000, 80, 8), (80, 40000, 8)]
    assert got.has_edge.tolist() == [True]
    assert got.words.tolist() == [[1] * 8]
