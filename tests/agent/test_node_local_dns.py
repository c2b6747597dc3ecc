"""NodeLocal DNS as its add-on sets it up: a host-network cache on each node, past conntrack, that asks upstream by TCP."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agent.hostlab import NODE, host_pod
from agent.netlab import CALL, Node, ip
from agent.receiver import Receiver, agent
from eastwest.model.batch import DNS_EVENT
from eastwest.model.flow import Protocol

pytestmark = pytest.mark.root
LOCAL, KUBE_DNS = "169.254.20.10", "10.96.0.10"
TCP, UDP = Protocol.TCP.value, Protocol.UDP.value

UPSTREAM = """
import socket, struct
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("", 53)); s.listen(8)
print("ready", flush=True)
while True:
    c, _ = s.accept()
    with c:
        size = struct.unpack(">H", c.recv(2, socket.MSG_WAITALL))[0]
        query = c.recv(size, socket.MSG_WAITALL)
        answer = b"\\xc0\\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton({address!r})
        whole = query[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0) + query[12:] + answer
        c.sendall(struct.pack(">H", len(whole)) + whole)
"""

CACHE = """
import select, socket, struct
known, bound = {{}}, []
for address in {addresses!r}:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((address, 53)); bound.append(s)
print("ready", flush=True)
while True:
    for s in select.select(bound, [], [])[0]:
        query, peer = s.recvfrom(512)
        if query[12:] not in known:
            with socket.create_connection(({upstream!r}, 53)) as up:
                up.sendall(struct.pack(">H", len(query)) + query)
                size = struct.unpack(">H", up.recv(2, socket.MSG_WAITALL))[0]
                known[query[12:]] = up.recv(size, socket.MSG_WAITALL)[2:]
        s.sendto(query[:2] + known[query[12:]], peer)
"""

ASK = """
import socket, struct
name = b"".join(bytes([len(p)]) + p for p in b"orders.shop.svc.cluster.local".split(b".")) + b"\\0"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10); s.connect(({host!r}, 53))
s.send(struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1)); s.recv(512)
"""


def install(net: Node) -> None:
    """A link that holds both addresses (the add-on's is of type dummy; a bridge without ports does the same), and NOTRACK."""
    ip("link", "add", "nodelocaldns", "type", "bridge", netns=net.netns)
    for address in (LOCAL, KUBE_DNS):
        ip("addr", "add", f"{address}/32", "dev", "nodelocaldns", netns=net.netns)
    ip("addr", "add", f"{NODE}/32", "dev", "lo", netns=net.netns)
    both = f"{{ {LOCAL}, {KUBE_DNS} }}"
    net.nft(f"""table ip local_dns {{
        chain arriving {{ type filter hook prerouting priority raw; ip daddr {both} meta l4proto {{ tcp, udp }} th dport 53 notrack; }}
        chain leaving {{ type filter hook output priority raw;
            ip daddr {both} meta l4proto {{ tcp, udp }} th dport 53 notrack
            ip saddr {both} meta l4proto {{ tcp, udp }} th sport 53 notrack
        }}
    }}""")


def test_the_pod_asks_the_cache_and_the_cache_asks_upstream(net: Node, server: Receiver, tmp_path: Path) -> None:
    install(net)
    asking, orders, coredns = net.pod("asking"), net.pod("orders"), net.pod("coredns")
    cache = host_pod(net, "containerd")
    orders.server(8080)
    code = UPSTREAM.format(address=orders.ipv4)
    for pod, text in ((coredns, code), (cache, CACHE.format(addresses=(LOCAL, KUBE_DNS), upstream=coredns.ipv4))):
        process = pod.python(text, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    with agent(net, server, tmp_path, "--host", tick_s=0.1, cgroups=True) as running:
        server.wait(lambda r: bool(r.batches) and len(r.batches[-1][0].books) == 4, "the pods and the node are known")
        asking.run(ASK.format(host=LOCAL))
        asking.run(ASK.format(host=KUBE_DNS))  # the cache holds the cluster's own DNS address, too, and knows by now
        asking.run(CALL.format(host=orders.ipv4, port=8080, size=10))
        running.stop()
    server.assert_books_closed()
    edges = {(*k[:6], k[7]): v["connections"] for k, v in server.edges().items() if k[4] in (TCP, UDP)}
    gateway = "169.254.1.1"  # of the node's addresses, the one it sends from towards its pods
    assert edges == {
        **{("client", asking.ipv4, a, 53, UDP, None, asking.uid): 1 for a in (LOCAL, KUBE_DNS)},
        **{("server", asking.ipv4, a, 53, UDP, None, cache.uid): 1 for a in (LOCAL, KUBE_DNS)},
        ("client", gateway, coredns.ipv4, 53, TCP, None, cache.uid): 1,  # once: the second answer was known
        ("server", gateway, coredns.ipv4, 53, TCP, None, coredns.uid): 1,
        ("client", asking.ipv4, orders.ipv4, 8080, TCP, None, asking.uid): 1,
        ("server", asking.ipv4, orders.ipv4, 8080, TCP, None, orders.uid): 1,
    }
    asked: dict[str | None, int] = {}
    for header, _ in server.batches:
        for book in header.books:
            for event, count in book.other.items():
                if event.startswith(DNS_EVENT):
                    asked[book.pod_uid] = asked.get(book.pod_uid, 0) + count
    assert asked == {asking.uid: 2}  # the pod's questions are the pod's, and what the cache asked is nobody's second
    names = {r["dst_dns_name"] for r in server.records if r["dst_port"] == 8080 and r["reporter"] == "client"}
    assert names == {"orders.shop.svc.cluster.local"}
