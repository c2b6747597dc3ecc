"""The engine: one cluster and its policies, compiled once, asked many times. See the package docstring for a tour.

Everything that must agree (check, connections, replay, generate, the data plane's compiler) stands on this object.
It is immutable after construction except for its memo of decided pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eastwest.model.cluster import ClusterState
from eastwest.model.flow import Direction
from eastwest.policy.addresses import AddressSet
from eastwest.policy.decision import Decision, Tier, Verdict
from eastwest.policy.ends import End, EndResolver, Ends
from eastwest.policy.identities import Identities, Ids
from eastwest.policy.kept import Kept, directed
from eastwest.policy.options import Options
from eastwest.policy.peers import DomainMap, PeerSet, PeerSets
from eastwest.policy.ports import EVERYTHING, NOTHING, PortSet
from eastwest.policy.rules import DirectedPolicy, NamedPorts, Rule, named_ports
from eastwest.policy.segments import Segment, segments
from eastwest.policy.tables import RuleTable, build_tables
from eastwest.policy.universe import Universe

OWN_NODE = "traffic between a pod and its own node is always allowed"
OWN_ADDRESS = "traffic of a pod to itself is always allowed"


class Engine:
    """`universe` (pods, namespaces, nodes), `peers` (distinct peer sets), `policies` (compiled, per direction),
    `tables` (per direction, the distinct rule tables) and `identities` (ends that no rule tells apart).

    `domains`: addresses of domain names, for ClusterNetworkPolicy `domainNames`; without it such rules accept nothing
    and denials that they might have prevented say so. `cuts`: see `Identities`. `kept`: pods under earlier policies.
    """

    def __init__(
        self,
        cluster: ClusterState,
        options: Options | None = None,
        domains: DomainMap | None = None,
        cuts: tuple[AddressSet, ...] = (),
        kept: Sequence[Kept] = (),
    ) -> None:
        self.options = options or Options()
        self.universe = Universe(cluster, self.options)
        sets = PeerSets(self.universe, self.options, domains)
        self.policies: tuple[DirectedPolicy, ...] = tuple(directed(self.universe, sets, kept))
        self.peers: tuple[PeerSet, ...] = tuple(sets.sets)
        self.tables: dict[Direction, list[RuleTable]] = {}
        self.table_of_pod: dict[Direction, Ids] = {}
        postures = self.universe.denied_by_posture(self.options.posture)
        for direction in Direction:
            mine = [p for p in self.policies if p.direction is direction]
            self.tables[direction], self.table_of_pod[direction] = build_tables(mine, len(cluster.pods), postures)
        self._build_identities(cuts)
        self.ends = EndResolver(self.universe, self.identities)
        self._memo: dict[tuple[Direction, int, int, int], tuple[Segment, ...]] = {}

    def _build_identities(self, cuts: tuple[AddressSet, ...]) -> None:
        """Behaviour 0 is the outside; pods get 1 and up by their tables and the named ports that rules ask for."""
        names = frozenset(name for p in self.policies for r in p.rules for _, name in r.ports.named)
        port_ids: dict[NamedPorts, int] = {frozenset(): 0}
        ids: dict[tuple[int, int, int], int] = {}
        behaviour = np.empty(len(self.universe.pods), np.int32)
        egress, ingress = (self.table_of_pod[d] for d in (Direction.EGRESS, Direction.INGRESS))
        for i, pod in enumerate(self.universe.pods):
            ports = named_ports(pod, names) if names and not self.universe.is_node[i] else frozenset()
            key = (int(egress[i]), int(ingress[i]), port_ids.setdefault(ports, len(port_ids)))
            behaviour[i] = ids.setdefault(key, len(ids) + 1)
        self.identities = Identities(self.universe, self.peers, behaviour, cuts)
        table = np.array([(0, 0, 0), *ids], np.int32)
        ends = np.concatenate((behaviour, behaviour, np.zeros(1, np.int32)))
        chosen = table[ends[np.minimum(self.identities.representative, len(ends) - 1)]]
        self.table_of: dict[Direction, Ids] = {Direction.EGRESS: chosen[:, 0], Direction.INGRESS: chosen[:, 1]}
        self.port_table_of: Ids = chosen[:, 2]
        self.port_tables: list[NamedPorts] = list(port_ids)
        self.is_outside = self.identities.representative >= 2 * len(behaviour)

    # --- one pair ------------------------------------------------------------------------------------------------

    def decide(self, src: End, dst: End, protocol: int, port: int, family: int | None = None) -> Verdict:
        """Whether `src` may open a connection to `dst`, both sides with their reasons.

        `protocol` is the IP protocol number; `port` the port of the backend (after DNAT), ignored for protocols without
        ports. `family` 4 or 6; None = the first that both ends have.
        """
        sides = self.segments(src, dst, family)
        egress, ingress = (next(s.decision for s in side if s.ports.contains(protocol, port)) for side in sides)
        return Verdict(egress, ingress)

    def segments(
        self, src: End, dst: End, family: int | None = None
    ) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
        """Egress and ingress side of a pair for every port: each a partition of all ports by decision."""
        exemption = self.exemption(src, dst)
        if exemption is not None:
            return exempt(Direction.EGRESS, exemption), exempt(Direction.INGRESS, exemption)
        family = family or self.ends.families(src, dst)[0]
        return self.identity_segments(self.ends.identity(src, family), self.ends.identity(dst, family))

    def allowed_ports(self, src: End, dst: End, family: int | None = None) -> PortSet:
        """Every port that both sides allow."""
        egress, ingress = self.segments(src, dst, family)
        return allowed(egress) & allowed(ingress)

    def exemption(self, src: End, dst: End) -> str | None:
        """Why no policy is asked for this pair, or None."""
        if src.pod is not None and src.pod == dst.pod and self.options.self_traffic == "allow":
            return OWN_ADDRESS
        for one, other in ((src, dst), (dst, src)):
            on_node = one.node is not None and one.node >= 0 and other.node is None and other.pod is not None
            if on_node and self.universe.pod_node[other.pod] == one.node:
                return OWN_NODE
        return None

    # --- identities -----------------------------------------------------------------------------------------------

    def identity_segments(self, src: int, dst: int) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
        """As `segments`, between identities: no own-node or own-address exemption."""
        ports = int(self.port_table_of[dst])
        egress = self._side(Direction.EGRESS, int(self.table_of[Direction.EGRESS][src]), dst, ports)
        ingress = self._side(Direction.INGRESS, int(self.table_of[Direction.INGRESS][dst]), src, ports)
        return egress, ingress

    def _side(self, direction: Direction, table: int, peer: int, ports: int) -> tuple[Segment, ...]:
        key = (direction, table, peer, ports)
        found = self._memo.get(key)
        if found is None:
            member, names = self.identities.member, self.port_tables[ports]

            def hits(rule: Rule) -> PortSet:
                return rule.ports.resolve(names) if member[rule.peers, peer] else NOTHING

            def might(rule: Rule) -> PortSet:
                return rule.ports.numbers if self.is_outside[peer] else NOTHING

            passes = self.options.icmp == "allow"
            found = tuple(segments(self.tables[direction][table], direction, hits, might, icmp_passes=passes))
            self._memo[key] = found
        return found

    # --- rules in force -------------------------------------------------------------------------------------------

    def rules(self, pod: int, direction: Direction) -> RuleTable:
        """The rules in force for a pod in one direction, in order of evaluation, by tier."""
        return self.tables[direction][int(self.table_of_pod[direction][pod])]

    def rule_ports(self, rule: Rule, destination: int) -> PortSet:
        """A rule's ports on one destination identity: its numbers, and its names as that destination has them."""
        return rule.ports.resolve(self.port_tables[self.port_table_of[destination]])

    def rule_peers(self, rule: Rule) -> Ids:
        """The identities that a rule's peers hold, ascending."""
        return np.flatnonzero(self.identities.member[rule.peers]).astype(np.int32)

    def undecided_domains(self) -> list[Rule]:
        """Rules whose domain names have no addresses here; see docs/decisions/0061."""
        return [r for p in self.policies for r in p.rules if r.has_domains]


def exempt(direction: Direction, reason: str) -> tuple[Segment, ...]:
    """Everything allowed by an exemption."""
    return (Segment(EVERYTHING, Decision("allow", Tier.EXEMPT, direction, exemption=reason)),)


def allowed(side: tuple[Segment, ...]) -> PortSet:
    """The ports that one side allows."""
    out = NOTHING
    for segment in side:
        if segment.decision.allowed:
            out = out | segment.ports
    return out


__all__ = ["OWN_ADDRESS", "OWN_NODE", "End", "Ends", "Engine", "allowed"]
