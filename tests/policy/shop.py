"""A small shop as manifests, used by the command tests."""

from __future__ import annotations

from pathlib import Path

SHOP = """
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Node
metadata: {name: n1, labels: {pool: a}}
status: {addresses: [{type: InternalIP, address: 10.9.0.1}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ui, namespace: shop}
spec:
  selector: {matchLabels: {app: ui}}
  template:
    metadata: {labels: {app: ui}}
    spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec: {containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: orders-postgresql, namespace: shop}
spec:
  selector: {matchLabels: {app: orders-postgresql}}
  template:
    metadata: {labels: {app: orders-postgresql}}
    spec: {containers: [{name: c, ports: [{name: pg, containerPort: 5432}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {clusterIP: 172.20.0.7, selector: {app: orders}, ports: [{port: 80, targetPort: http}]}
"""
DENY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""
UI_TO_ORDERS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: ui, namespace: shop}
spec:
  podSelector: {matchLabels: {app: ui}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: orders}}}], ports: [{port: http}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: orders, namespace: shop}
spec:
  podSelector: {matchLabels: {app: orders}}
  ingress: [{from: [{podSelector: {matchLabels: {app: ui}}}], ports: [{port: 8080}]}]
"""
ORDERS_TO_DB = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: orders-db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: orders}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {matchLabels: {app: orders-postgresql}}}], ports: [{port: 5432}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: orders-postgresql}}
  ingress: [{from: [{podSelector: {matchLabels: {app: orders}}}], ports: [{port: 5432}]}]
"""


def write(folder: Path, **files: str) -> str:
    """Write `name=text` as name.yaml in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return str(folder)
