"""A drain hands out one record for all connections of an edge; nothing that they counted is lost or told apart no more."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bpf import packets as p
from bpf.flow_bench import IFINDEX, FlowBench, fill_flows
from eastwest.agent.abi import FLOW, FLOW_KEY
from eastwest.agent.edges import from_records, merge
from eastwest.agent.sizes import Sizes

pytestmark = pytest.mark.root


def datagram(client_port: int, server_port: int, size: int = 12) -> bytes:
    return p.ip("10.0.0.1", "10.0.0.2", p.UDP, p.udp(client_port, server_port, bytes(size)))


def records_of(bench: FlowBench) -> NDArray[Any]:
    """What one tick's drain wrote, chunk after chunk."""
    parts: list[NDArray[Any]] = []
    bench.kernel.drain(bench.kernel.turn(), lambda records: parts.append(records.copy()), carry=False)
    return np.concatenate(parts)


def test_connections_of_one_edge_are_one_record() -> None:
    with FlowBench() as bench:
        for port in range(20000, 20100):
            bench.from_pod(datagram(port, 53), datagram(port, 53), datagram(port, 80, size=100))
            bench.to_pod(p.ip("10.0.0.2", "10.0.0.1", p.UDP, p.udp(53, port, bytes(8))))
        found = {int(r["dst_port"]): r for r in records_of(bench)}
    assert set(found) == {53, 80}
    dns, other = found[53], found[80]
    assert dns["tally"]["packets"].tolist() == [200, 100]
    assert dns["bytes"].tolist() == [200 * 40, 100 * 36]
    assert (dns["opens"], dns["answered"]) == (100, 100)
    assert (other["tally"]["packets"].tolist(), other["bytes"].tolist()) == ([100, 0], [100 * 128, 0])
    assert (other["opens"], other["answered"]) == (100, 0)


def test_records_of_an_earlier_drain_are_never_added_to() -> None:
    with FlowBench() as bench:
        for _ in range(3):
            bench.from_pod(datagram(20000, 53), datagram(20001, 53))
            (record,) = records_of(bench)
            assert record["tally"]["packets"].tolist() == [2, 0]


def test_many_edges_in_few_places_keep_every_packet() -> None:
    """Four records fit a run, and there are 200 edges: hints are overwritten and point to records of other runs."""
    sent: Counter[int] = Counter()
    with FlowBench(Sizes(2048, 64, 4)) as bench:
        for i in range(1000):
            port = 1000 + i * 7 % 200
            bench.from_pod(datagram(20000 + i, port, size=i % 50))
            sent[port] += 28 + i % 50
        edges = merge([from_records(records_of(bench))])
    assert dict(zip(edges.keys["dst_port"].tolist(), edges.sums[:, 0].tolist(), strict=True)) == dict(sent)


def flows(n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """n entries of one edge, each with a packet in set 0 at time i + 1."""
    keys, values = np.zeros(n, FLOW_KEY), np.zeros(n, FLOW)
    keys["pod_addr"][:, 15], keys["peer_addr"][:, 15] = 1, 2
    keys["ifindex"], keys["pod_port"], keys["peer_port"], keys["protocol"] = IFINDEX, 1000 + np.arange(n), 80, 17
    values["role"], values["flags"] = 1, 3
    counted = values["set"][:, 0]
    counted["bytes"][:, 0] = 100
    counted["tally"]["packets"][:, 0] = counted["tally"]["segments"][:, 0] = 1
    counted["first_ns"] = counted["last_ns"] = 1 + np.arange(n)
    values["set"][:, 0] = counted
    return keys, values


def test_first_and_last_are_the_edges() -> None:
    with FlowBench() as bench:
        fill_flows(bench.kernel, *flows(50))
        (record,) = records_of(bench)
    assert (record["first_ns"], record["last_ns"]) == (1, 50)


def test_packets_are_never_more_than_their_32_bits_hold() -> None:
    keys, values = flows(4)
    values["set"]["tally"]["segments"][:3, 0, 0] = 2**31 + 5
    with FlowBench() as bench:
        fill_flows(bench.kernel, keys, values)
        records = records_of(bench)
        edges = merge([from_records(records)])
    assert sorted(records["tally"]["segments"][:, 0].tolist()) == [1, 2**31 + 5, 2**31 + 5, 2**31 + 5]
    assert edges.sums[0, 4] == 3 * (2**31 + 5) + 1


def test_what_different_rules_decided_stays_apart() -> None:
    keys, values = flows(40)
    values["allow_reason"], values["deny_reason"] = np.repeat([7, 8], 20), np.tile([0, 9], 20)
    values["set"]["denied"][:, 0] = np.tile([0, 1], 20)
    values["set"]["tally"]["packets"][:, 0, 0] = 2
    with FlowBench(enforcing=True) as bench:
        fill_flows(bench.kernel, keys, values)
        records = records_of(bench)
    told = {
        (int(r["allow_reason"]), int(r["deny_reason"])): (int(r["allowed"]), int(r["denied"]), int(r["last_ns"]))
        for r in records
    }
    assert told == {(7, 0): (20, 0, 19), (7, 9): (10, 10, 20), (8, 0): (20, 0, 39), (8, 9): (10, 10, 40)}
