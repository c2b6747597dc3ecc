"""A recording small enough to read: three workloads, one policy in force that denies what is used, one quiet port."""

from __future__ import annotations

from pathlib import Path

from policy.test_evidence_commands import CLUSTER, FLOWS, bundle

LOCKED = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-ui, namespace: shop}
spec:
  podSelector: {matchLabels: {app: orders}}
  policyTypes: [Ingress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: db}}}]
      ports: [{port: 9999}]
"""


def record(path: Path) -> Path:
    """Write the bundle."""
    return bundle(path, FLOWS, cluster=f"{CLUSTER}---{LOCKED}")


def ruled(path: Path) -> Path:
    """The same as agents report it while the policy is enforced: ui's calls denied at orders, its way to db audited."""
    denied = {"reporter": "server", "policy_allowed": 0, "policy_denied": 9, "policy_would_deny": 0,
              "denied_by": "NetworkPolicy shop/only-ui ingress isolation", "bytes_reverse": 0, "connections_established": 0}  # fmt: skip
    audited = {"policy_allowed": 0, "policy_denied": 0, "policy_would_deny": 4, "denied_by": "Posture egress"}
    allowed = {"policy_allowed": 20, "policy_denied": 0, "policy_would_deny": 0, "allowed_by": "Posture egress"}
    nobody: dict[str, object] = {"reporter": "client", **dict.fromkeys((*audited, "allowed_by"))}
    rows = [
        {**nobody, "connections_established": 3, **FLOWS[0], **denied},
        {**nobody, "connections_established": 3, **FLOWS[1], **allowed},
        {**nobody, "connections_established": 3, **FLOWS[6], **audited},
        *({**nobody, "connections_established": 3, **flow} for flow in FLOWS[2:6]),
    ]
    return bundle(path, rows, cluster=f"{CLUSTER}---{LOCKED}")
