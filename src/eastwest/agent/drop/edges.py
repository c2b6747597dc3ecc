"""Drops to pods and edges, as far as the packet tells. Pure.

A pod is known by the namespace the packet was dropped in, else by that of the socket that sent it, else by the host's
end of its veth. The edge is known by the flow map's answer for the packet's 5-tuple; of a handshake, by the packet itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.abi import FLOW_KEY, RECORD_KEY_BYTES, ROLE_SOURCES, ROLES
from eastwest.agent.drop.ledger import Drops
from eastwest.agent.drop.record import Flag
from eastwest.agent.edges import KEY
from eastwest.model.flow import Reporter, RoleSource

Words = NDArray[np.uint64]
Resolve = Callable[[NDArray[Any]], tuple[Words, NDArray[np.bool_]]]

_WORDS: Final = RECORD_KEY_BYTES // 8


@dataclass(frozen=True, slots=True)
class Attributed:
    """Beside the drops themselves, (n,) each."""

    ifindex: NDArray[np.uint32]  # the pod's interface; 0: of no pod
    words: Words  # (n, 8), the edge as edges.Edges.words; zero where `has_edge` is not set
    has_edge: NDArray[np.bool_]


def attribute(drops: Drops, ifindex_of: Mapping[int, int], node_netns: int, resolve: Resolve) -> Attributed:
    """`ifindex_of`: inode of a pod's namespace -> the host's end of its veth; `node_netns`: inode of the node's own."""
    key = drops["key"]
    ifindex, sent_here = _pods(key, ifindex_of, node_netns)
    words = np.zeros((len(drops), _WORDS), np.uint64)
    has_edge = np.zeros(len(drops), np.bool_)
    tuples = ((key["flags"] & Flag.PORTS) != 0) & (key["src_port"] != 0) & (key["dst_port"] != 0) & (ifindex != 0)
    for pod, peer in (("src", "dst"), ("dst", "src")):
        ask = np.flatnonzero(tuples & ~has_edge)
        answer, found = resolve(_flow_keys(key[ask], ifindex[ask], pod, peer))
        words[ask[found]], has_edge[ask[found]] = answer[found], True
    handshake = ((key["flags"] & (Flag.TO_SERVER | Flag.TO_CLIENT)) != 0) & ~has_edge & (ifindex != 0)
    words[handshake] = _from_handshake(key[handshake], ifindex[handshake], sent_here[handshake])
    return Attributed(ifindex, words, has_edge | handshake)


def _pods(
    key: NDArray[Any], ifindex_of: Mapping[int, int], node_netns: int
) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """The pod's interface of each drop, and whether that pod's own socket sent the packet."""
    own = set(ifindex_of.values())
    ifindex = np.zeros(len(key), np.uint32)
    sent = np.zeros(len(key), np.bool_)
    rows = zip(key["netns"].tolist(), key["owner_netns"].tolist(), key["ifindex"].tolist(), strict=True)
    for i, (netns, owner, interface) in enumerate(rows):
        if owner in ifindex_of:
            ifindex[i], sent[i] = ifindex_of[owner], True
        elif netns in ifindex_of:
            ifindex[i] = ifindex_of[netns]
        elif netns == node_netns and interface in own:
            ifindex[i], sent[i] = interface, True
    return ifindex, sent


def _flow_keys(key: NDArray[Any], ifindex: NDArray[np.uint32], pod: str, peer: str) -> NDArray[Any]:
    keys = np.zeros(len(key), FLOW_KEY)
    keys["pod_addr"], keys["peer_addr"] = key[pod], key[peer]
    keys["pod_port"], keys["peer_port"] = key[f"{pod}_port"], key[f"{peer}_port"]
    keys["ifindex"], keys["protocol"] = ifindex, key["protocol"]
    return keys


def _from_handshake(key: NDArray[Any], ifindex: NDArray[np.uint32], sent_here: NDArray[np.bool_]) -> Words:
    """A SYN goes from client to server, a SYN-ACK the other way."""
    to_server = (key["flags"] & Flag.TO_SERVER) != 0
    made = np.zeros(len(key), KEY)
    made["src"] = np.where(to_server[:, None], key["src"], key["dst"])
    made["dst"] = np.where(to_server[:, None], key["dst"], key["src"])
    made["dst_port"] = np.where(to_server, key["dst_port"], key["src_port"])
    made["ifindex"], made["protocol"] = ifindex, key["protocol"]
    client, server = ROLES.index(Reporter.CLIENT), ROLES.index(Reporter.SERVER)
    made["role"] = np.where(to_server == sent_here, client, server)
    made["role_source"] = ROLE_SOURCES.index(RoleSource.HANDSHAKE)
    return np.ascontiguousarray(made).view(np.uint64).reshape(len(made), _WORDS)
