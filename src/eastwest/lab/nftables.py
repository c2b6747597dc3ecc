"""Services as nftables rules for one node, the way kube-proxy's nftables mode does it. Pure: returns the ruleset.

One atomic transaction replaces the whole table; connections keep the translation they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from eastwest.lab.addresses import NODES_V4, NODES_V6, PODS_V4, PODS_V6, SERVICE_V4, SERVICE_V6, NodePlan

MASQUERADE: Final = "0x4000"
Backend = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Frontend:
    """One address and port that stands for backends. `address` None = the node port, on every address of the node."""

    address: str | None
    port: int
    protocol: str  # tcp, udp or sctp
    family: int
    backends: tuple[Backend, ...]
    external: bool = False  # node port or load balancer
    masquerade: bool = False  # externalTrafficPolicy Cluster: the backend sees the node


def ruleset(node: NodePlan, frontends: Sequence[Frontend], hairpins: Iterable[str]) -> str:
    """The table `eastwest-lab` of `node`. `hairpins`: pod addresses that may reach themselves through a Service."""
    maps: dict[str, list[str]] = {"v4": [], "v6": [], "np4": [], "np6": []}
    rejected: dict[str, list[str]] = {"none4": [], "none6": []}
    chains: list[str] = []
    for number, front in enumerate(frontends):
        key = f"{front.protocol} . {front.port}"
        if not front.backends:
            if front.address is not None and front.external:
                rejected[f"none{front.family}"].append(f"{front.address} . {key}")
            continue
        chain = f"s{number}"
        chains.append(_chain(chain, front))
        if front.address is None:
            maps[f"np{front.family}"].append(f"{key} : goto {chain}")
        else:
            maps[f"v{front.family}"].append(f"{front.address} . {key} : goto {chain}")
    pairs = list(hairpins)
    return "\n".join(
        [
            "table inet eastwest-lab",
            "delete table inet eastwest-lab",
            "table inet eastwest-lab {",
            *_collection("map v4", "ipv4_addr . inet_proto . inet_service : verdict", maps["v4"]),
            *_collection("map v6", "ipv6_addr . inet_proto . inet_service : verdict", maps["v6"]),
            *_collection("map np4", "inet_proto . inet_service : verdict", maps["np4"]),
            *_collection("map np6", "inet_proto . inet_service : verdict", maps["np6"]),
            *_collection("set none4", "ipv4_addr . inet_proto . inet_service", rejected["none4"]),
            *_collection("set none6", "ipv6_addr . inet_proto . inet_service", rejected["none6"]),
            *_collection("set hair4", "ipv4_addr . ipv4_addr", [f"{a} . {a}" for a in pairs if ":" not in a]),
            *_collection("set hair6", "ipv6_addr . ipv6_addr", [f"{a} . {a}" for a in pairs if ":" in a]),
            *chains,
            _base_chains(node),
            "}",
            "",
        ]
    )


def _collection(head: str, type_: str, elements: list[str]) -> list[str]:
    body = [f"  elements = {{ {', '.join(elements)} }}"] if elements else []
    return [f" {head} {{", f"  type {type_}", *body, " }"]


def _chain(name: str, front: Frontend) -> str:
    table = ", ".join(f"{i} : {ip} . {port}" for i, (ip, port) in enumerate(front.backends))
    family = "ip" if front.family == 4 else "ip6"
    mark = f"  meta mark set meta mark | {MASQUERADE}\n" if front.masquerade else ""
    choose = f"dnat {family} to numgen random mod {len(front.backends)} map {{ {table} }}"
    return f" chain {name} {{\n{mark}  meta l4proto {front.protocol} {choose}\n }}"


def _base_chains(node: NodePlan) -> str:
    lookup = """  ip daddr . meta l4proto . th dport vmap @v4
  ip6 daddr . meta l4proto . th dport vmap @v6
  meta nfproto ipv4 fib daddr type local meta l4proto . th dport vmap @np4
  meta nfproto ipv6 fib daddr type local meta l4proto . th dport vmap @np6"""
    refuse = f"""  ct status dnat accept
  ip daddr {SERVICE_V4} reject with icmp port-unreachable
  ip6 daddr {SERVICE_V6} reject with icmpv6 port-unreachable
  ip daddr . meta l4proto . th dport @none4 drop
  ip6 daddr . meta l4proto . th dport @none6 drop"""
    return f""" chain prerouting {{
  type nat hook prerouting priority dstnat
{lookup}
 }}
 chain output {{
  type nat hook output priority -100
{lookup}
 }}
 chain postrouting {{
  type nat hook postrouting priority srcnat
  meta mark & {MASQUERADE} != 0 meta nfproto ipv4 snat ip to {node.ipv4}
  meta mark & {MASQUERADE} != 0 meta nfproto ipv6 snat ip6 to {node.ipv6}
  ip saddr . ip daddr @hair4 snat ip to {node.ipv4}
  ip6 saddr . ip6 daddr @hair6 snat ip6 to {node.ipv6}
  ip saddr {node.pods_v4} ip daddr != {{ {PODS_V4}, {NODES_V4}, {SERVICE_V4} }} snat ip to {node.ipv4}
  ip6 saddr {node.pods_v6} ip6 daddr != {{ {PODS_V6}, {NODES_V6}, {SERVICE_V6} }} snat ip6 to {node.ipv6}
 }}
 chain forwarded {{
  type filter hook forward priority filter
{refuse}
 }}
 chain originated {{
  type filter hook output priority filter
{refuse}
 }}"""
