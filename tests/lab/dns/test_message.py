"""Our DNS messages against dnslib's, and against noise."""

from __future__ import annotations

import contextlib

import dnslib
from hypothesis import given
from hypothesis import strategies as st

from eastwest.lab.dns import message
from eastwest.lab.dns.resolver import ResolverConfig
from eastwest.lab.dns.server import respond
from eastwest.lab.dns.zone import Zone, build

labels = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
names = st.lists(labels, min_size=1, max_size=6).map(".".join)


@given(names, st.integers(0, 65535))
def test_a_query_reads_the_same_in_dnslib(name: str, number: int) -> None:
    raw = message.query(number, name, message.AAAA)
    theirs = dnslib.DNSRecord.parse(raw)
    assert (theirs.header.id, str(theirs.q.qname).rstrip("."), theirs.q.qtype) == (number, name, message.AAAA)
    assert message.parse_query(raw) == (number, message.Question(name, message.AAAA, raw[12:]))


@given(names, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
def test_an_answer_reads_the_same_in_dnslib_and_here(name: str, v4: str, v6: str) -> None:
    number, question = message.parse_query(message.query(7, name, message.A))
    records = [message.Record(name, message.A, 5, v4), message.Record(name, message.AAAA, 5, v6)]
    raw = message.answer(number, question, message.NOERROR, records, None)
    assert next(str(r.rdata) for r in dnslib.DNSRecord.parse(raw).rr) == v4
    assert message.parse_answer(raw, 7) == (message.NOERROR, False, records)


def test_a_long_answer_is_truncated_over_udp_only() -> None:
    number, question = message.parse_query(message.query(1, "many.example", message.A))
    records = [message.Record("many.example", message.A, 5, f"10.0.0.{i}") for i in range(100)]
    assert message.parse_answer(message.answer(number, question, 0, records, message.UDP_LIMIT), 1) == (0, True, [])
    assert message.parse_answer(message.answer(number, question, 0, records, None), 1) == (0, False, records)


@given(st.binary(max_size=600))
def test_noise_never_ends_the_server_or_the_resolver(raw: bytes) -> None:
    from pathlib import Path

    respond(Zone(Path("/nonexistent")), raw, 512)
    with contextlib.suppress(message.BadMessage):
        message.parse_answer(raw, 0)


def test_search_and_ndots() -> None:
    config = ResolverConfig.parse(
        "search a.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    )
    assert config.candidates("web") == ["web.a.svc.cluster.local", "web.svc.cluster.local", "web"]
    assert config.candidates("web.") == ["web"]
    assert config.candidates("a.b.c.d.e.f")[0] == "a.b.c.d.e.f"


def test_names_of_services() -> None:
    def service(name: str, **spec: object) -> dict[str, object]:
        return {"metadata": {"name": name, "namespace": "n"}, "spec": spec}

    piece = {
        "metadata": {"namespace": "n", "labels": {"kubernetes.io/service-name": "db"}},
        "endpoints": [
            {"addresses": ["10.244.0.2"], "conditions": {"ready": True}, "hostname": "db-0"},
            {"addresses": ["10.244.0.3"], "conditions": {"ready": False}, "hostname": "db-1"},
        ],
    }
    found = build(
        [
            service("web", clusterIPs=["10.96.0.1", "fd00::1"], ports=[{"name": "http", "port": 80}]),
            service("db", clusterIP="None"),
            service("far", type="ExternalName", externalName="s3.amazonaws.com"),
        ],
        [piece],
        {"s3.amazonaws.com": ["52.217.10.14"]},
    )
    assert found["web.n.svc.cluster.local"] == ["10.96.0.1", "fd00::1"]
    assert found["_http._tcp.web.n.svc.cluster.local"] == ["SRV 80 web.n.svc.cluster.local"]
    assert found["db.n.svc.cluster.local"] == found["db-0.db.n.svc.cluster.local"] == ["10.244.0.2"]
    assert found["far.n.svc.cluster.local"] == ["CNAME s3.amazonaws.com"]
