"""Sets of peers, interned: who a rule speaks about, as pods by label and as addresses.

A rule's peers are OR-ed into one set; each distinct set exists once and is known by its id. Knows nothing of ports,
tiers or order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from eastwest.model.policy import ClusterPolicyPeer, NetworkPolicyPeer
from eastwest.policy.addresses import NO_ADDRESSES, AddressSet, block, hosts, parse_network
from eastwest.policy.options import Options
from eastwest.policy.universe import Mask, Universe

DomainMap = Mapping[str, tuple[str, ...]]
"""Domain name (lower case, without the final dot) to its addresses."""


@dataclass(frozen=True, slots=True, eq=False)
class PeerSet:
    """Pods by label, plus addresses.

    everyone: pods, nodes and every address (a rule without `from` or `to`).
    addresses: match pods by their address, and everything outside.
    outside: addresses that match what is not a pod only (ipBlock under ip_block_matches_pods=False; domain names).
    """

    pods: Mask  # (n_pods,)
    addresses: AddressSet = NO_ADDRESSES
    outside: AddressSet = NO_ADDRESSES
    everyone: bool = False


class PeerSets:
    """Builds and interns `PeerSet`s; `sets[id]`."""

    def __init__(self, universe: Universe, options: Options, domains: DomainMap | None) -> None:
        self._universe = universe
        self._options = options
        self._domains = domains
        self.knows_domains = domains is not None
        self._ids: dict[tuple[bool, AddressSet | None, AddressSet | None, bytes], int] = {}
        self._network_policy_ids: dict[tuple[object, ...], int] = {}
        self.sets: list[PeerSet] = []
        self.nobody = self._intern(PeerSet(self._no_pods()))
        self.everyone = self._intern(PeerSet(self._no_pods(), everyone=True))

    def _no_pods(self) -> Mask:
        return np.zeros(len(self._universe.pods), np.bool_)

    def _intern(self, peers: PeerSet) -> int:
        addresses = None if peers.addresses is NO_ADDRESSES else peers.addresses
        outside = None if peers.outside is NO_ADDRESSES else peers.outside
        key = (peers.everyone, addresses, outside, np.packbits(peers.pods).tobytes())
        found = self._ids.setdefault(key, len(self.sets))
        if found == len(self.sets):
            self.sets.append(peers)
        return found

    def of_network_policy(self, namespace: str, peers: tuple[NetworkPolicyPeer, ...] | None) -> int:
        """The set of one rule's `from` or `to`; missing or empty = everyone (networking/v1 NetworkPolicyIngressRule)."""
        if not peers:
            return self.everyone
        key = _key(namespace, peers)
        found = self._network_policy_ids.get(key)
        if found is None:
            found = self._network_policy_ids[key] = self._network_policy(namespace, peers)
        return found

    def _network_policy(self, namespace: str, peers: tuple[NetworkPolicyPeer, ...]) -> int:
        pods, addresses = self._no_pods(), NO_ADDRESSES
        for peer in peers:
            if peer.ip_block is not None:
                found = block(peer.ip_block.cidr, peer.ip_block.except_)
                addresses = addresses | found if addresses else found
            elif peer.pod_selector is not None or peer.namespace_selector is not None:
                pods |= self._universe.select(namespace, peer.namespace_selector, peer.pod_selector, False)
        if self._options.ip_block_matches_pods:
            return self._intern(PeerSet(pods, addresses=addresses))
        return self._intern(PeerSet(pods, outside=addresses))

    def of_cluster_policy(self, peers: Iterable[ClusterPolicyPeer]) -> int:
        """The set of one ClusterNetworkPolicy rule; domain names count only as far as their addresses are given."""
        pods, addresses, outside = self._no_pods(), NO_ADDRESSES, NO_ADDRESSES
        for peer in peers:
            if peer.namespaces is not None:
                pods |= self._universe.select(None, peer.namespaces, None, True)
            elif peer.pods is not None:
                pods |= self._universe.select(None, peer.pods[0], peer.pods[1], True)
            elif peer.nodes is not None:
                addresses = addresses | self._nodes(peer)
            elif peer.networks is not None:
                for cidr in peer.networks:
                    addresses = addresses | parse_network(cidr)
            elif peer.domain_names is not None:
                outside = outside | self._named(peer.domain_names)
        return self._intern(PeerSet(pods, addresses, outside))

    def _nodes(self, peer: ClusterPolicyPeer) -> AddressSet:
        assert peer.nodes is not None
        nodes = self._universe.cluster.nodes
        return hosts(chain.from_iterable(n.ips for n in nodes if peer.nodes.matches(n.labels)))

    def _named(self, patterns: Iterable[str]) -> AddressSet:
        if self._domains is None:
            return NO_ADDRESSES
        wanted = tuple(patterns)
        return hosts(
            chain.from_iterable(
                ips for name, ips in self._domains.items() if any(domain_matches(p, name) for p in wanted)
            )
        )


def _key(namespace: str, peers: tuple[NetworkPolicyPeer, ...]) -> tuple[object, ...]:
    """What tells two rules' peers apart, as plain tuples: hashing nested dataclasses costs more than all the rest."""
    out: list[object] = [namespace]
    for peer in peers:
        pods, spaces = peer.pod_selector, peer.namespace_selector
        out.append(None if pods is None else (pods.match_labels, pods.match_expressions))
        out.append(None if spaces is None else (spaces.match_labels, spaces.match_expressions))
        out.append(peer.ip_block)
    return tuple(out)


def domain_matches(pattern: str, name: str) -> bool:
    """Whether a DNS name matches: equal, or `*.suffix` with at least one label before the suffix (NPEP-133)."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return name == pattern
