"""The edges each shipped scenario must show, DNS, probes and load balancer included: no more, no fewer.

An end is `namespace/workload`, `node`, `internet` or `aws:SERVICE`. Nothing in the product reads this.
"""

from __future__ import annotations

from typing import Any

Edge = tuple[str, str, str, int]

DNS = "kube-system/coredns"


def probed(*targets: tuple[str, int]) -> set[Edge]:
    """Kubelet probes come from the pod's own node."""
    return {("node", workload, "TCP", port) for workload, port in targets}


def resolves(*workloads: str) -> set[Edge]:
    return {(w, DNS, "UDP", 53) for w in workloads}


SYSTEM = probed((DNS, 8080), (DNS, 8181))

RETAIL_STORE: set[Edge] = {
    ("internet", "ui/ui", "TCP", 8080),
    ("ui/ui", "catalog/catalog", "TCP", 8080),
    ("ui/ui", "carts/carts", "TCP", 8080),
    ("ui/ui", "checkout/checkout", "TCP", 8080),
    ("ui/ui", "orders/orders", "TCP", 8080),
    ("checkout/checkout", "orders/orders", "TCP", 8080),
    ("catalog/catalog", "catalog/catalog-mysql", "TCP", 3306),
    ("carts/carts", "carts/carts-dynamodb", "TCP", 8000),
    ("checkout/checkout", "checkout/checkout-redis", "TCP", 6379),
    ("orders/orders", "orders/orders-postgresql", "TCP", 5432),
    ("orders/orders", "orders/orders-rabbitmq", "TCP", 5672),
    ("orders/orders-report", "orders/orders-postgresql", "TCP", 5432),
    *resolves("ui/ui", "catalog/catalog", "carts/carts", "checkout/checkout", "orders/orders", "orders/orders-report"),
    *probed(("ui/ui", 8080), ("catalog/catalog", 8080), ("carts/carts", 8080), ("checkout/checkout", 8080)),
    *probed(("orders/orders", 8080), ("catalog/catalog-mysql", 3306), ("carts/carts-dynamodb", 8000)),
    *probed(("checkout/checkout-redis", 6379), ("orders/orders-postgresql", 5432), ("orders/orders-rabbitmq", 5672)),
}

GATEWAY = "istio-ingress/istio-ingressgateway"
ECOMMERCE: set[Edge] = {
    ("node", GATEWAY, "TCP", 8080),  # externalTrafficPolicy: Cluster hides the shopper behind a node
    (GATEWAY, "ecommerce/graphql-api", "TCP", 8080),
    ("ecommerce/graphql-api", "ecommerce/orders", "TCP", 8080),
    ("ecommerce/graphql-api", "ecommerce/products", "TCP", 8080),
    *resolves(GATEWAY, "ecommerce/graphql-api"),
    *probed((GATEWAY, 15021), ("ecommerce/graphql-api", 8080)),
    *probed(("ecommerce/orders", 8080), ("ecommerce/products", 8080)),
}
ECOMMERCE_TOLERATED: set[Edge] = {("internet", GATEWAY, "TCP", 8080)}
"""Where the pod is on the node that masquerades, conntrack still knows the shopper: both are true."""

PHOTO_GALLERY: set[Edge] = {
    ("photo-gallery/api-gateway", "photo-gallery/upload-service", "TCP", 8080),
    ("photo-gallery/api-gateway", "photo-gallery/gallery-service", "TCP", 8080),
    ("photo-gallery/upload-service", "aws:S3", "TCP", 443),
    ("photo-gallery/upload-service", "aws:DYNAMODB", "TCP", 443),
    ("photo-gallery/gallery-service", "aws:S3", "TCP", 443),
    ("photo-gallery/gallery-service", "aws:DYNAMODB", "TCP", 443),
    *resolves("photo-gallery/api-gateway", "photo-gallery/upload-service", "photo-gallery/gallery-service"),
    *probed(("photo-gallery/api-gateway", 8080), ("photo-gallery/upload-service", 8080)),
    *probed(("photo-gallery/gallery-service", 8080)),
}

MOBILE_CORE: set[Edge] = {
    ("mobile-core/gnb", "mobile-core/amf", "SCTP", 36412),
    ("mobile-core/amf", "mobile-core/smf", "TCP", 8080),
    *resolves("mobile-core/gnb", "mobile-core/amf"),
}


def _end(node: dict[str, Any]) -> str:
    if node["kind"] in ("workload", "pod"):
        return f"{node['namespace']}/{node['workload'] or node['name']}"
    if node["kind"] == "aws":
        return f"aws:{node['name'].split()[0].split('/')[0]}"
    return str(node["kind"])


def seen(service_map: dict[str, Any]) -> set[Edge]:
    """The edges of an answer of /api/v1/service-map, in the words of this file."""
    ends = {node["id"]: _end(node) for node in service_map["nodes"]}
    return {(ends[e["source"]], ends[e["target"]], e["protocol"], e["dst_port"]) for e in service_map["edges"]}


def unanswered(service_map: dict[str, Any]) -> set[Edge]:
    """Edges to a Service's own address that nothing came back on: a caller that was up before its Service had a backend. They
    are true, and a busy machine makes them likely."""
    ends = {node["id"]: _end(node) for node in service_map["nodes"]}
    found = [e for e in service_map["edges"] if ends[e["target"]] == "service" and not e["bytes_reverse"]]
    return {(ends[e["source"]], "service", e["protocol"], e["dst_port"]) for e in found}


def doubled(service_map: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Edges that appear more than once; there must be none."""
    keys = [(e["source"], e["target"], e["protocol"], e["dst_port"]) for e in service_map["edges"]]
    return sorted({k for k in keys if keys.count(k) > 1})
