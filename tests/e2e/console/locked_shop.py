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
