"""How fabric, internet, nodes (text for `ip -batch`) and pods (steps for `rtnl`) are wired. Pure: runs nothing.

Three ways to reach a pod: `routed` gives each pod a /32 behind a link-local gateway, as the ptp CNI and the AWS VPC CNI
do; `bridged` puts a node's pods on one bridge; `vxlan` is routed with an overlay between nodes, so that the fabric knows
nodes only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eastwest.lab.addresses import (
    FABRIC_V4,
    GATEWAY_V4,
    GATEWAY_V6,
    LOAD_BALANCERS_V4,
    LOAD_BALANCERS_V6,
    NODES_V4,
    NODES_V6,
    PODS_V4,
    PODS_V6,
    SERVICE_V4,
    SERVICE_V6,
    NodePlan,
)
from eastwest.lab.rtnl import Step
from eastwest.lab.state import Network

CLUSTER_RANGES = tuple(
    str(r) for r in (NODES_V4, PODS_V4, SERVICE_V4, LOAD_BALANCERS_V4, NODES_V6, PODS_V6, SERVICE_V6, LOAD_BALANCERS_V6)
)
VXLAN_MTU = 1450
HOST_MAC = "02:ea:57:ff:00:01"  # every host end of a pod's link
GATEWAY_MAC = "02:ea:57:ff:01:01"  # the fabric's end of a node's link


def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def fabric_to_internet(internet_pid: int) -> str:
    """In the fabric: the uplink that every other address is reached by."""
    return _lines(
        "link set lo up",
        f"link add internet type veth peer name eth0 netns {internet_pid}",
        "link set internet up",
        "address add 100.64.0.1/31 dev internet",
        "address add fd00:64::1/127 dev internet nodad",
        "route add default via 100.64.0.0 dev internet",
        "route add ::/0 via fd00:64:: dev internet",
        *(f"route add blackhole {r}" for r in CLUSTER_RANGES),  # what no node has a longer route for
    )


def internet(addresses: Iterable[str]) -> str:
    """In the internet: all its hosts' addresses on one machine, the cluster behind the fabric, nothing else."""
    owned = [f"address add {a}/{128 if ':' in a else 32} dev lo{' nodad' if ':' in a else ''}" for a in addresses]
    return _lines(
        "link set lo up",
        *owned,
        "link set eth0 up",
        "address add 100.64.0.0/31 dev eth0",
        "address add fd00:64::/127 dev eth0 nodad",
        *(f"route add {r} via {'fd00:64::1' if ':' in r else '100.64.0.1'} dev eth0" for r in CLUSTER_RANGES),
        "route add blackhole 0.0.0.0/0",  # hosts that do not exist do not answer
        "route add blackhole ::/0",
    )


def fabric_to_node(node: NodePlan, pid: int, network: Network) -> str:
    """In the fabric: the link to one node, and the routes behind it."""
    link = node.name
    return _lines(
        f"link add {link} address {GATEWAY_MAC} type veth peer name eth0 address {node.mac} netns {pid}",
        f"link set {link} up",
        f"address add {FABRIC_V4}/32 dev {link}",
        f"address add {GATEWAY_V6}/64 dev {link} nodad",
        f"route add {node.ipv4}/32 dev {link}",
        f"route add {node.ipv6}/128 dev {link}",
        *(
            ()
            if network == "vxlan"
            else (
                f"route add {node.pods_v4} via {node.ipv4} dev {link} onlink",
                f"route add {node.pods_v6} via {node.ipv6} dev {link} onlink",
            )
        ),
    )


def node(own: NodePlan, others: Sequence[NodePlan], network: Network) -> str:
    """In a node: its own address, the way out, and whatever its network mode needs."""
    lines = [
        "link set lo up",
        "link set eth0 up",
        f"address add {own.ipv4}/32 dev eth0",
        f"address add {own.ipv6}/128 dev eth0 nodad",
        f"route add {FABRIC_V4} dev eth0 scope link",
        f"route add default via {FABRIC_V4} dev eth0 src {own.ipv4}",
        f"route add ::/0 via {GATEWAY_V6} dev eth0 src {own.ipv6}",
    ]
    if network != "bridged":  # a packet for a pod that is gone must not go back to the fabric
        lines += [f"route add blackhole {own.pods_v4}", f"route add blackhole {own.pods_v6}"]
    if network == "bridged":
        lines += [
            f"link add cni0 address {HOST_MAC} type bridge",
            "link set cni0 up",
            f"address add {_first(own.pods_v4)}/24 dev cni0",
            f"address add {_first(own.pods_v6)}/64 dev cni0 nodad",
        ]
    if network == "vxlan":
        lines += [
            f"link add vxlan0 mtu {VXLAN_MTU} address {own.mac} type vxlan id 1 dstport 4789 local {own.ipv4} nolearning",
            "link set vxlan0 up",
            f"address add {_network(own.pods_v4)}/32 dev vxlan0",
            f"address add {_network(own.pods_v6)}/128 dev vxlan0 nodad",
        ]
        for other in others:
            v4, v6 = _network(other.pods_v4), _network(other.pods_v6)
            lines += [
                f"neighbor add {v4} lladdr {other.mac} dev vxlan0 nud permanent",
                f"neighbor add {v6} lladdr {other.mac} dev vxlan0 nud permanent",
                f"route add {other.pods_v4} via {v4} dev vxlan0 onlink",
                f"route add {other.pods_v6} via {v6} dev vxlan0 onlink",
            ]
    return _lines(*lines)


def vxlan_peers(others: Sequence[NodePlan]) -> list[list[str]]:
    """In a node: arguments for `bridge`, which hardware address is behind which node."""
    return [["fdb", "append", o.mac, "dev", "vxlan0", "dst", o.ipv4] for o in others]


def pod(own: NodePlan, ips: Sequence[str], host_link: str, node_pid: int, network: Network) -> list[Step]:
    """In the pod: make the link (its other end lands in the node) and point everything at the gateway."""
    mtu = VXLAN_MTU if network == "vxlan" else None
    link = {"name": "eth0", "peer": host_link, "peer_mac": HOST_MAC, "peer_pid": node_pid, "mtu": mtu}
    steps: list[Step] = [["up", {"name": "lo"}], ["veth", link], ["up", {"name": "eth0"}]]
    v4, v6 = ips
    if network == "bridged":
        return [
            *steps,
            _address(f"{v4}/24"),
            _address(f"{v6}/64"),
            _route("0.0.0.0/0", via=_first(own.pods_v4)),
            _route("::/0", via=_first(own.pods_v6)),
        ]
    return [
        *steps,
        _address(f"{v4}/32"),
        _address(f"{v6}/128"),
        _route(f"{GATEWAY_V4}/32"),
        _route("0.0.0.0/0", via=GATEWAY_V4, source=v4),
        _route("::/0", via=GATEWAY_V6, source=v6),
    ]


def node_to_pod(own: NodePlan, ips: Sequence[str], host_link: str, network: Network) -> list[Step]:
    """In the node: its end of a pod's link."""
    v4, v6 = ips
    if network == "bridged":
        port: Step = ["port", {"name": host_link, "bridge": "cni0"}]
        return [port, ["hairpin", {"name": host_link}], ["up", {"name": host_link}]]
    return [
        ["up", {"name": host_link}],
        _address(f"{GATEWAY_V4}/32", host_link, link_scope=True),
        _address(f"{GATEWAY_V6}/64", host_link),
        _route(f"{v4}/32", host_link, source=own.ipv4),
        _route(f"{v6}/128", host_link, source=own.ipv6),
    ]


def _address(address: str, link: str = "eth0", *, link_scope: bool = False) -> Step:
    return ["address", {"name": link, "address": address, "link_scope": link_scope}]


def _route(to: str, link: str = "eth0", *, via: str | None = None, source: str | None = None) -> Step:
    return ["route", {"to": to, "name": link, "via": via, "source": source}]


def _network(cidr: str) -> str:
    return cidr.partition("/")[0]


def _first(cidr: str) -> str:
    """The gateway address of a pod range: .1 or ::1."""
    base = _network(cidr)
    return base.removesuffix(".0") + ".1" if "." in base else base + "1"
