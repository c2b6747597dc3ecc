"""Namespaces, nodes, Services and their endpoints to typed values."""

from __future__ import annotations

from typing import Final

from eastwest.k8s.fields import Fields, Reader, canonical_ip, network
from eastwest.model.cluster import Namespace, Node, Origin, Service, ServicePort

NAME_LABEL: Final = "kubernetes.io/metadata.name"
SERVICE_TYPES: Final = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")


def namespace(reader: Reader) -> Namespace:
    """A Namespace; the API server sets kubernetes.io/metadata.name whatever the file says."""
    raw = reader.raw
    labels = reader.top().inner("metadata").mapping("labels")
    return named_namespace(raw.name, labels, Origin(raw.file, raw.line))


def named_namespace(name: str, labels: dict[str, str] | None = None, origin: Origin | None = None) -> Namespace:
    return Namespace(name, dict(sorted({**(labels or {}), NAME_LABEL: name}.items())), origin)


NODE_ADDRESSES: Final = "eastwest.dev/node-addresses"
"""Annotation: further addresses of the node's interfaces, as its agent reported them, separated by spaces."""


def node(reader: Reader) -> Node:
    raw = reader.raw
    top = reader.top()
    spec, labels = top.inner("spec"), top.inner("metadata").mapping("labels")
    addresses = [(a.text("type"), a.text("address"), a) for a in top.inner("status").items("addresses")]
    ips = [
        _ip(fields, "address", text)
        for wanted in ("InternalIP", "ExternalIP")
        for kind, text, fields in addresses
        if kind == wanted
    ]
    ips += top.inner("metadata").mapping("annotations").get(NODE_ADDRESSES, "").split()
    cidrs = spec.texts("podCIDRs") or ([spec.text("podCIDR")] if spec.text("podCIDR") else [])
    for text in cidrs:
        if network(text) is None:
            spec.error("podCIDRs", f"{text!r} is not a valid CIDR")
    return Node(
        name=raw.name,
        labels=labels,
        ips=tuple(dict.fromkeys(ip for ip in ips if ip)),
        pod_cidrs=tuple(str(net) for net in map(network, cidrs) if net is not None),
        provider_id=spec.text("providerID") or None,
        zone=labels.get("topology.kubernetes.io/zone") or labels.get("failure-domain.beta.kubernetes.io/zone"),
        region=labels.get("topology.kubernetes.io/region") or labels.get("failure-domain.beta.kubernetes.io/region"),
        origin=Origin(raw.file, raw.line),
    )


def service(reader: Reader) -> Service:
    raw = reader.raw
    top = reader.top()
    spec = top.inner("spec")
    kind = spec.choice("type", SERVICE_TYPES, "ClusterIP")
    given = spec.texts("clusterIPs") or ([spec.text("clusterIP")] if spec.text("clusterIP") else [])
    cluster_ips = [_ip(spec, "clusterIPs", text) for text in given if text != "None"]
    balancer = top.inner("status").inner("loadBalancer")
    outside = [_ip(item, "ip", item.text("ip")) for item in balancer.items("ingress") if "ip" in item]
    outside += [_ip(spec, "externalIPs", text) for text in spec.texts("externalIPs")]
    return Service(
        namespace=raw.namespace or "default",
        name=raw.name,
        type=kind,
        selector={} if kind == "ExternalName" else spec.mapping("selector"),
        cluster_ips=tuple(ip for ip in cluster_ips if ip),
        load_balancer_ips=tuple(ip for ip in outside if ip),
        ports=tuple(port for port in map(_port, spec.items("ports")) if port is not None),
        external_traffic_policy=spec.choice("externalTrafficPolicy", ("Cluster", "Local"), "Cluster"),
        origin=Origin(raw.file, raw.line),
    )


def endpoint_addresses(reader: Reader) -> tuple[str, str, tuple[str, ...]]:
    """(namespace, Service, ready addresses) of an EndpointSlice or an Endpoints object."""
    raw = reader.raw
    top = reader.top()
    found: list[str | None] = []
    if raw.kind == "EndpointSlice":
        name = top.inner("metadata").mapping("labels").get("kubernetes.io/service-name", "")
        for endpoint in top.items("endpoints"):
            if endpoint.inner("conditions").values.get("ready") is not False:
                found += [_ip(endpoint, "addresses", text) for text in endpoint.texts("addresses")]
    else:
        name = raw.name
        for subset in top.items("subsets"):
            found += [_ip(address, "ip", address.text("ip")) for address in subset.items("addresses")]
    return raw.namespace or "default", name, tuple(dict.fromkeys(ip for ip in found if ip))


def _port(port: Fields) -> ServicePort | None:
    number = port.integer("port", 1, 65535)
    if number is None:
        return None
    target = port.values.get("targetPort")
    if isinstance(target, str) and target.isdigit():
        target = int(target)
    if target is not None and not isinstance(target, (int, str)):
        port.error("targetPort", "must be a port number or a port's name")
        target = None
    return ServicePort(
        number,
        port.choice("protocol", ("TCP", "UDP", "SCTP"), "TCP"),
        port.text("name") or None,
        target or None,
        port.integer("nodePort", 0, 65535) or None,
    )


def _ip(fields: Fields, key: str, text: str) -> str | None:
    ip = canonical_ip(text)
    if ip is None:
        fields.error(key, f"{text!r} is not an IP address")
    return ip
