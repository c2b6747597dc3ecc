"""Edges in the words of the schema, through the wire and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from eastwest.agent.abi import RECORD
from eastwest.agent.columns import Context, columns
from eastwest.agent.dns import hook as dns_hook
from eastwest.agent.drop import hook as drop_hook
from eastwest.agent.edges import from_records, merge
from eastwest.agent.sock import health
from eastwest.model.flow import ip_bytes
from eastwest.wire.batch import encode
from eastwest.wire.decode import decode
from wire.factories_wire import make_header

VERDICTS = {"policy_allowed", "policy_denied", "policy_would_deny", "allowed_by", "denied_by"}
OPTIONAL = {*health.COLUMNS, *drop_hook.COLUMNS, *dns_hook.COLUMNS, *VERDICTS}
"""What hooks beside flow, and enforcement, would fill in."""
CONTEXT = Context("c1", "n1", 10, 20, 1_000_000, {3: "uid-3", 5: None})


def record(**fields: Any) -> np.ndarray[Any, Any]:
    r = np.zeros(1, RECORD)
    r["src"] = np.frombuffer(ip_bytes("10.0.0.1"), np.uint8)
    r["dst"] = np.frombuffer(ip_bytes("fd00::2"), np.uint8)
    r["ifindex"], r["protocol"] = 3, 6
    for name, value in fields.items():
        r[name] = value
    return r


def rows(*records: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    edges = merge([from_records(r) for r in records])
    table = decode(encode(make_header(records=len(edges)), columns(edges, CONTEXT)))[1]
    return sorted(table.to_pylist(), key=lambda r: r["dst_port"])


def test_every_column() -> None:
    (row,) = rows(
        record(
            role=1, role_source=4, dst_port=8080, first_ns=5, last_ns=6, opens=2, answered=1, counted_in=1,
            bytes=(100, 200), service=np.frombuffer(ip_bytes("10.96.0.1"), np.uint8), service_port=80,
        )
    )  # fmt: skip
    assert [n for n, value in row.items() if value is not None and n in OPTIONAL] == []
    assert {n: value for n, value in row.items() if n not in OPTIONAL} == {
        "window_start_ns": 10, "window_end_ns": 20, "first_seen_ns": 1_000_005, "last_seen_ns": 1_000_006,
        "cluster": "c1", "node": "n1", "pod_uid": "uid-3", "reporter": "client", "role_source": "handshake",
        "src_ip": ip_bytes("10.0.0.1"), "src_port": None, "dst_ip": ip_bytes("fd00::2"), "dst_port": 8080,
        "protocol": 6, "service_ip": ip_bytes("10.96.0.1"), "service_port": 80, "counted_in": "overflow",
        "connections": 2, "connections_established": 1, "bytes_forward": 100, "bytes_reverse": 200,
        "packets_forward": 0, "packets_reverse": 0, "segments_forward": 0, "segments_reverse": 0,
    }  # fmt: skip


def test_the_port_of_an_unknown_initiator_is_kept() -> None:
    tcp, icmp = rows(record(src_port=40000, dst_port=5), record(protocol=1, dst_port=6))
    assert (tcp["reporter"], tcp["src_port"]) == ("unknown", 40000)
    assert icmp["src_port"] is None


def test_unknown_is_null() -> None:
    known_interface, other_interface = rows(record(ifindex=5, dst_port=1), record(ifindex=99, dst_port=2))
    assert known_interface["pod_uid"] is None
    assert other_interface["pod_uid"] is None
    assert known_interface["service_ip"] is None
    assert known_interface["service_port"] is None


def test_no_rows() -> None:
    assert rows() == []
