"""The policy engine: evaluate, explain, compare, lint (and, beside it, generate, replay and verify). Pure: no I/O, no
clock, no YAML; `k8s` reads and defaults the objects, `cli` prints.

    engine = Engine(cluster_state, Options(...))           # compile once: ~10 ms for 240 workloads and 240 policies
    verdict = engine.decide(src, dst, 6, 5432)             # one pair: .allowed, .egress and .ingress with their reasons
    src = engine.ends.pod("shop", "orders-0")              # an end: a pod, ends.node("n1"), ends.address("10.1.2.3")
    columns = engine.ends.columns(pods, addresses)         # many ends: (n,) pod positions or -1, (n, 16) addresses
    decided = decide_many(engine, srcs, dsts, protos, ports)   # (n,) allowed, egress, ingress -> positions in .reasons
    connections(engine)                                    # all permitted connections between workloads and outside
    engine.rules(pod, Direction.INGRESS)                   # rules in force for a pod, by tier: peers, ports, reason
    engine.identities                                      # ends that no rule tells apart; `member[peer set, identity]`

Where things are, bottom up: `options` (choices the specification leaves open) · `ports`, `addresses` (exact sets) ·
`universe` (pods, labels and addresses as arrays) · `peers` (distinct peer sets) · `rules` (policies compiled) ·
`tables` (rules in force per pod and direction) · `identities` · `ends` · `segments` (the tiers: first decision that is
not "pass" wins) · `decision` (what comes out) · `engine` (one pair) · `batch` (columns) · `rows`, `connections` (all
pairs) · `services` (backends after DNAT) · `diff`, `explain`, `lint/`, `conformance/` (uses of the engine) · beside it `generate/`,
`replay/`, `verify/` and `watch`, `kept`, `proposal`.

A connection is allowed when the egress side of its source and the ingress side of its destination both allow it. The
port is always the backend's. A flow between a pod and its own node, or of a pod to itself, is decided by no policy.
"""

from eastwest.policy.batch import DecisionColumns, decide_many
from eastwest.policy.decision import Decision, Tier, Verdict
from eastwest.policy.ends import End, Ends
from eastwest.policy.engine import Engine
from eastwest.policy.options import Options
from eastwest.policy.ports import PortSet

__all__ = [
    "Decision",
    "DecisionColumns",
    "End",
    "Ends",
    "Engine",
    "Options",
    "PortSet",
    "Tier",
    "Verdict",
    "decide_many",
]
