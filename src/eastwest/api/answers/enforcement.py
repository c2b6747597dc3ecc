"""Settings and plans as the models of the API."""

from __future__ import annotations

from collections.abc import Iterable

from eastwest.api.models.enforcement import (
    EnforcementSettings,
    ModeSetting,
    NodeMode,
    PlanClause,
    PlanDescription,
    PlanDifference,
    PlanPeers,
    PlanSide,
    PlanSizes,
    PostureSetting,
)
from eastwest.api.services import Enforcement
from eastwest.enforce.describe import Description, difference, names_of
from eastwest.enforce.modes import Snapshot
from eastwest.enforce.planner import Planned
from eastwest.model.plan import Mode, NodePlan, Ruling


def settings_of(snapshot: Snapshot) -> EnforcementSettings:
    """The settings as the API shows them."""
    postures = snapshot.postures
    return EnforcementSettings(
        revision=snapshot.revision,
        modes=[
            ModeSetting(namespace=name, direction=d.value, mode=s.mode.value, nodes=node_modes(s.nodes))
            for (name, d), s in snapshot.modes
        ],
        postures=[
            PostureSetting(scope="cluster", name=None, posture=postures.cluster.value),
            *(PostureSetting(scope="namespace", name=n, posture=p.value) for n, p in postures.namespaces),
            *(PostureSetting(scope="nodes", name=n, posture=p.value) for n, p in postures.nodes),
        ],
    )


def node_modes(nodes: Iterable[tuple[str, Mode]]) -> list[NodeMode]:
    """The nodes that have another mode than the rest."""
    return [NodeMode(node=node, mode=mode.value) for node, mode in nodes]


def described(enforcement: Enforcement, planned: Planned, plan: NodePlan) -> PlanDescription:
    """A plan in words, and how it differs from the one that its node says is in force."""
    names = names_of((p.namespace, p.name, p.ips) for p in planned.engine.universe.pods if not p.host_network)
    told = enforcement.register.told(plan.node)
    before = told and enforcement.planner.offers.get(plan.node, told.realised.version, told.realised.digest)
    new = Description(plan, names)
    gone, come = difference(Description(before, names) if before else None, new)
    return PlanDescription(
        node=plan.node,
        version=plan.version,
        digest=plan.digest,
        realised_version=enforcement.register.version(plan),
        posture=plan.posture.value,
        unknown_mode=plan.unknown_mode.value,
        policies=list(plan.sources),
        sizes=PlanSizes(**{name: len(getattr(plan, name)) for name in PlanSizes.model_fields}),
        sides=[
            PlanSide(
                namespace=side.namespace,
                name=side.name,
                direction=side.direction.value,
                mode=side.mode.value,
                peers=[
                    PlanPeers(
                        peers=list(group.peers),
                        clauses=[
                            PlanClause(what=c.what, allowed=c.ruling is Ruling.ALLOW, reason=c.reason)
                            for c in group.clauses
                        ],
                    )
                    for group in side.peers
                ],
            )
            for side in new.sides()
        ],
        difference=PlanDifference(against=before.version if before else None, gone=gone, come=come),
    )
