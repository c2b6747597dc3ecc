"""The choices that the NetworkPolicy specification leaves open, made once and shared by every user of the engine.

The data plane's compiler, replay and the commands all take the same `Options`, so that an answer and its enforcement
cannot differ. Defaults are those of upstream's e2e tests and of nearly all network plugins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eastwest.policy.posture import ALLOW_ALL, Postures

HostNetwork = Literal["exempt", "ordinary"]
SelfTraffic = Literal["allow", "ordinary"]
Icmp = Literal["portless", "allow"]


@dataclass(frozen=True, slots=True)
class Options:
    """How the engine reads what the specification leaves to the implementation.

    ip_block_matches_pods: an ipBlock of a NetworkPolicy matches pod addresses too (test/e2e/network/netpol does so).
        `networks` of a ClusterNetworkPolicy always match pods: its API says so.
    host_network: "exempt" = a host-network pod is its node: never selected, seen by the node's address;
        "ordinary" = it is selected by its labels like any pod (both are permitted by the NetworkPolicy documentation).
        ClusterNetworkPolicy never selects host-network pods, whatever is chosen here.
    self_traffic: "allow" = a pod always reaches its own address (kubernetes/kubernetes#95879); "ordinary" = by rules.
    icmp: "portless" = protocols without ports (ICMP and all that is not TCP, UDP, SCTP) pass by rules without ports
        only; "allow" = they always pass.
    posture: what holds where no policy decides, per cluster, node group and namespace.
    """

    ip_block_matches_pods: bool = True
    host_network: HostNetwork = "exempt"
    self_traffic: SelfTraffic = "allow"
    icmp: Icmp = "portless"
    posture: Postures = ALLOW_ALL
