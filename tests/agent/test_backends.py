"""Records that get their backend from a dump: by arithmetic on made tuples, and on real packets."""

from __future__ import annotations

import errno
import ipaddress
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.netlab import ASK, CALL, node
from agent.receiver import agent, receiving
from eastwest.agent import backends
from eastwest.agent.abi import RECORD
from eastwest.agent.ctdump import TUPLES, Dump
from eastwest.agent.edges import Edges, from_records
from eastwest.model.batch import HookStatus

REFUSED = HookStatus("conntrack", "refused", "EACCES", ("service_ip", "service_port"))
CLIENT, SERVER, UNKNOWN = 1, 2, 0
POD, SHOP, B, C = "10.0.0.1", "10.96.0.10", "10.0.0.2", "10.0.0.3"


def raw(address: str) -> NDArray[np.uint8]:
    ip = ipaddress.ip_address(address)
    return np.frombuffer((b"\0" * 10 + b"\xff\xff" if ip.version == 4 else b"") + ip.packed, np.uint8)


def edges_of(*rows: tuple[str, str, int, int, int]) -> Edges:
    """(src, dst, dst_port, protocol, role) each."""
    records = np.zeros(len(rows), RECORD)
    for r, (src, dst, port, protocol, role) in zip(records, rows, strict=True):
        r["src"], r["dst"], r["dst_port"], r["protocol"], r["role"] = raw(src), raw(dst), port, protocol, role
        r["bytes"], r["last_ns"] = (100, 50), 1
    return from_records(records)


def tuples_of(*rows: tuple[str, int, str, int, str, int, int]) -> NDArray[np.void]:
    found = np.zeros(len(rows), TUPLES)
    for t, (src, src_port, asked, asked_port, answerer, answerer_port, protocol) in zip(found, rows, strict=True):
        t["src"], t["asked"], t["answerer"] = raw(src), raw(asked), raw(answerer)
        t["src_port"], t["asked_port"], t["answerer_port"], t["protocol"] = (
            src_port,
            asked_port,
            answerer_port,
            protocol,
        )
    return found


def ends(e: Edges) -> set[tuple[bytes, int, bytes, int]]:
    k = e.keys
    return {(bytes(r["dst"]), int(r["dst_port"]), bytes(r["service"]), int(r["service_port"])) for r in k}


def test_one_backend_however_many_connections() -> None:
    given = edges_of((POD, SHOP, 80, 6, CLIENT))
    named = backends.resolve(given, tuples_of(*((POD, p, SHOP, 80, B, 8080, 6) for p in range(40000, 40009))))
    assert ends(named) == {(bytes(raw(B)), 8080, bytes(raw(SHOP)), 80)}
    assert (named.sums == given.sums).all()
    assert bytes(given.keys["dst"][0]) == bytes(raw(SHOP)), "what was given is not written to"


@pytest.mark.parametrize("other", [(C, 8080), (B, 8081)], ids=["address", "port"])
def test_several_backends_cannot_be_told_apart(other: tuple[str, int]) -> None:
    given = edges_of((POD, SHOP, 80, 6, CLIENT), (POD, SHOP, 443, 6, CLIENT))
    named = backends.resolve(
        given,
        tuples_of(
            (POD, 1, SHOP, 80, B, 8080, 6),
            (POD, 2, SHOP, 80, *other, 6),
            (POD, 3, SHOP, 443, B, 8443, 6),
        ),
    )
    shop = bytes(raw(SHOP))
    assert ends(named) == {(shop, 80, bytes(16), 0), (bytes(raw(B)), 8443, shop, 443)}


@pytest.mark.parametrize(
    "row",
    [
        (C, SHOP, 80, 6, CLIENT),
        (POD, B, 80, 6, CLIENT),
        (POD, SHOP, 81, 6, CLIENT),
        (POD, SHOP, 80, 17, CLIENT),
        (POD, SHOP, 80, 6, SERVER),
        (POD, SHOP, 80, 6, UNKNOWN),
    ],
    ids=["client", "address", "port", "protocol", "server's end", "unknown role"],
)
def test_nothing_else_is_named(row: tuple[str, str, int, int, int]) -> None:
    given = edges_of(row)
    assert (backends.resolve(given, tuples_of((POD, 1, SHOP, 80, B, 8080, 6))).words == given.words).all()


def test_no_edges() -> None:
    assert len(backends.resolve(edges_of(), tuples_of((POD, 1, SHOP, 80, B, 8080, 6)))) == 0


def test_a_dump_that_fails_is_told_and_the_next_may_work() -> None:
    answers: list[Dump | OSError] = [
        OSError(errno.EPERM, "Operation not permitted"),
        Dump(tuples_of((POD, 1, SHOP, 80, B, 8080, 6)), 0),
        Dump(np.empty(0, TUPLES), 3),
    ]

    def dump() -> Dump:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    found = backends.Backends(REFUSED, dump)
    assert found.status == HookStatus(
        "conntrack", "refused", "EACCES; over netlink: Operation not permitted", REFUSED.columns
    )
    given = edges_of((POD, SHOP, 80, 6, CLIENT))
    assert bytes(found.name(given).keys["dst"][0]) == bytes(raw(B))
    assert found.status == HookStatus("conntrack", "on", backends.BY_NETLINK)
    assert found.name(given) is given
    assert found.status.reason == backends.SOME_UNREAD


def test_only_where_the_kernel_refuses() -> None:
    assert backends.instead((HookStatus("tcx", "on"), HookStatus("conntrack", "on"))) is None


PICKY = """
import sys
from eastwest.agent import loader
from eastwest.cli.main import main
load = loader.load
def picky(name, *args, **options):
    if name in ("flow_lookup", "flow_conntrack"):
        raise loader.LoadError("this kernel has no such function")
    return load(name, *args, **options)
loader.load = picky
sys.exit(main())
"""
RULES = """table ip s { chain p { type nat hook prerouting priority dstnat
    ip daddr 10.96.0.10 tcp dport 80 dnat ip to BACKEND4:8080
    ip daddr 10.96.0.10 udp dport 53 dnat ip to BACKEND4:5353
    ip daddr 10.96.0.11 tcp dport 80 dnat ip to numgen inc mod 2 map { 0 : BACKEND4 . 8080, 1 : BACKEND4 . 9090 }
}; }
table ip6 s { chain p { type nat hook prerouting priority dstnat
    ip6 daddr fd96::10 tcp dport 80 dnat ip6 to [BACKEND6]:8080
}; }
"""


@pytest.mark.root
def test_the_probe_says_how_services_are_named_where_the_read_is_refused() -> None:
    argv = ["unshare", "-n", sys.executable, "-c", PICKY, "agent", "--probe", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = {h["name"]: (h["state"], h["reason"]) for h in json.loads(done.stdout)}
    assert told["tcx"] == ("on", None)
    assert told["conntrack"] == ("on", backends.BY_NETLINK)


@pytest.mark.root
def test_a_kernel_that_refuses_the_read(tmp_path: Path) -> None:
    """Real connections through Services: backends named from the dump, but for the one with two."""
    with node() as net, receiving(tmp_path) as server:
        a, b = net.pod("a"), net.pod("b")
        b.server(8080, family=6)
        b.server(9090, family=6)
        b.server(5353, kind="udp")
        net.nft(RULES.replace("BACKEND4", b.ipv4).replace("BACKEND6", b.ipv6))
        with agent(net, server, tmp_path, tick_s=60, command=("-c", PICKY)) as running:  # one window
            for host in ("10.96.0.10", "10.96.0.11", "10.96.0.11", "fd96::10", b.ipv4):
                a.run(CALL.format(host=host, port=8080 if host == b.ipv4 else 80, size=500))
            a.run(ASK.format(family="socket.AF_INET", host="10.96.0.10", port=53, size=100))
            running.stop()
        server.assert_books_closed()
        asked = {k[2:7]: v["connections"] for k, v in server.edges().items() if k[0] == "client"}
        assert asked == {
            (b.ipv4, 8080, 6, "10.96.0.10", 80): 1,
            (b.ipv4, 8080, 6, None, None): 1,
            (b.ipv4, 5353, 17, "10.96.0.10", 53): 1,
            (b.ipv6, 8080, 6, "fd96::10", 80): 1,
            ("10.96.0.11", 80, 6, None, None): 2,
        }
        told = {h.name: h for header, _ in server.batches for h in header.hooks}
        assert told["conntrack"] == HookStatus("conntrack", "on", backends.BY_NETLINK)
