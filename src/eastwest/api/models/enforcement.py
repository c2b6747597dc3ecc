"""The shapes of the enforcement API: settings, status and plans. Unknown is null; times are int64 ns since the epoch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from eastwest.api.models.coverage import HookReport

ModeWord = Literal["off", "audit", "enforce"]
PostureWord = Literal["allow", "deny"]
DirectionWord = Literal["ingress", "egress"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModeChange(_Strict):
    """`direction` null = both. `nodes` null = every node, which ends what was narrowed before."""

    mode: ModeWord
    direction: DirectionWord | None = None
    nodes: list[str] | None = None


class PostureChange(_Strict):
    """`name`: the namespace, or the node group as names (node-a,node-b) or labels (pool=blue). `posture` null takes the
    entry away: the next wider scope holds again."""

    scope: Literal["cluster", "namespace", "nodes"]
    name: str | None = None
    posture: PostureWord | None


class NodeMode(BaseModel):
    node: str
    mode: ModeWord


class ModeSetting(BaseModel):
    """What was asked for; `nodes` have another mode than the rest. Namespace `*` is every one without an entry."""

    namespace: str
    direction: DirectionWord
    mode: ModeWord
    nodes: list[NodeMode]


class PostureSetting(BaseModel):
    scope: Literal["cluster", "namespace", "nodes"]
    name: str | None
    posture: PostureWord


class EnforcementSettings(BaseModel):
    """`revision` grows with every change."""

    revision: int
    modes: list[ModeSetting]
    postures: list[PostureSetting]


class WaitingPod(BaseModel):
    """One direction of a pod that does not follow the newest plan, and why."""

    uid: str
    namespace: str
    name: str
    direction: DirectionWord
    reason: str


class NodeEnforcement(BaseModel):
    node: str
    version: int = Field(description="the newest plan")
    realised_version: int = Field(description="the plan that the agent says is in force; 0 = none is known")
    generation: int | None = Field(description="the kernel's generation")
    since_ns: int | None = Field(description="since when the realised plan is in force, by the node's clock")
    told_ns: int | None = Field(description="when the agent last told, by the server's clock; null = never")
    pods: int
    sides: int = Field(description="directions of its pods whose mode is not off")
    missing: list[WaitingPod]
    capability: list[HookReport]
    reason: str | None = Field(description="why the plan as a whole is not in force")


class NamespaceEnforcement(BaseModel):
    namespace: str
    direction: DirectionWord
    mode: ModeWord
    nodes: list[NodeMode] = Field(description="nodes with another mode than the rest")
    pods: int
    in_force: int | None = Field(description="pods that follow the newest plan; null where the mode is off everywhere")


class PolicyEnforcement(BaseModel):
    """`text` says it in a sentence: in force on 118 of 120 pods; waiting for node-b."""

    policy: str
    tier: str
    pods: int = Field(description="pods it selects whose mode is not off")
    in_force: int
    off: int = Field(description="pods it selects whose mode is off")
    waiting: list[str] = Field(description="nodes")
    text: str
    held: int = Field(description="pods it selects that keep earlier policies, because of `held_back`")
    earlier: bool = Field(description="what is in force is an earlier state; the cluster has another one, or none")


class HeldBack(BaseModel):
    """What cannot be put in force, and who keeps what was before it; everybody else follows the cluster."""

    message: str
    scope: str
    policy: str | None = Field(description="the policy to change")
    node: str | None = Field(description="the node whose plan would not fit into its kernel's tables")
    since_ns: int
    pods: int = Field(description="pods that keep the policies of before")
    nodes: list[str] = Field(description="nodes that keep their last plan as a whole")


class EnforcementTrouble(BaseModel):
    """Why the newest state of the cluster is not in all plans: the oldest of `held_back`, or what stopped all of them."""

    message: str
    policy: str | None
    since_ns: int


class EnforcementStatus(BaseModel):
    """`inventory_ns` is the newest change of the cluster that every `nodes[].version` takes into account, `revision` that of
    the settings which they do: `settings.revision` once the newest are compiled."""

    inventory_ns: int
    revision: int
    compiled_ns: int | None
    compile_seconds: float | None
    trouble: EnforcementTrouble | None
    settings: EnforcementSettings
    nodes: list[NodeEnforcement]
    namespaces: list[NamespaceEnforcement]
    policies: list[PolicyEnforcement]
    held_back: list[HeldBack]


class PlanClause(BaseModel):
    what: str
    allowed: bool
    reason: str


class PlanPeers(BaseModel):
    peers: list[str]
    clauses: list[PlanClause]


class PlanSide(BaseModel):
    namespace: str
    name: str
    direction: DirectionWord
    mode: ModeWord
    peers: list[PlanPeers]


class PlanSizes(BaseModel):
    """Entries in the kernel's tables."""

    pods: int
    identities: int
    cells: int
    ports: int
    reasons: int


class PlanDifference(BaseModel):
    """Against the plan that is in force by the agent's word; `against` null = none is known, so everything has come."""

    against: int | None
    gone: list[str]
    come: list[str]


class PlanDescription(BaseModel):
    node: str
    version: int
    digest: str
    realised_version: int
    posture: PostureWord = Field(description="for pods the plan does not know")
    unknown_mode: ModeWord
    policies: list[str]
    sizes: PlanSizes
    sides: list[PlanSide]
    difference: PlanDifference
