"""The whole way: sockets and packets of one connection, counted by two hooks, meet on one edge."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from agent.netlab import CALL, node
from bpf.factories_hooks import SERVICE, Watched
from eastwest.agent.sock.health import onto
from eastwest.model.flow import ip_bytes

pytestmark = pytest.mark.root


@pytest.fixture
def watched() -> Iterator[Watched]:
    with node() as n:
        found = Watched(n)
        try:
            yield found
        finally:
            found.close()


@pytest.mark.parametrize("through", ["service", "pod4", "pod6"])
def test_sockets_and_packets_meet_on_the_same_edge(watched: Watched, through: str) -> None:
    server = watched.server
    server.server(8080, family=6 if through == "pod6" else 4)
    host = {"service": SERVICE, "pod4": server.ipv4, "pod6": server.ipv6}[through]
    for _ in range(10):
        watched.client.run(CALL.format(host=host, port=80 if through == "service" else 8080, size=20000))
    found, health = watched.tick()
    joined, columns = onto(found, health)
    assert health.unresolved == 0
    assert len(joined) == len(found) == 2  # one edge at each end, none added
    keys = joined.keys
    address = server.ipv6 if through == "pod6" else server.ipv4
    assert {bytes(d) for d in keys["dst"]} == {ip_bytes(address)}
    assert set(keys["dst_port"].tolist()) == {8080}
    client = int(np.flatnonzero(keys["role"] == 1)[0])
    assert columns["connection_attempts"].tolist()[client] == 10
    assert columns["connect_count"].tolist()[client] == 10
    assert columns["rtt_count"].tolist()[client] == 10
    assert columns["rtt_min_us"][client] > 0
    assert joined.sums[client, 6] == 10  # the flow hook's own count of opened connections
    assert columns["connection_failures"].sum() == columns["resets"].sum() == 0
    if through == "service":
        assert bytes(keys["service"][client]) == ip_bytes(SERVICE)


def test_a_refused_connection_is_on_the_edge_of_its_packets(watched: Watched) -> None:
    watched.client.run(f"import socket; s = socket.socket(); s.connect_ex(('{SERVICE}', 80))")
    found, health = watched.tick()
    joined, columns = onto(found, health)
    assert health.unresolved == 0
    assert columns["connection_failures"].sum() == 1
    (row,) = np.flatnonzero(columns["connection_failures"])
    assert bytes(joined.keys["dst"][row]) == ip_bytes(watched.server.ipv4)
    assert joined.keys["dst_port"][row] == 8080
    assert joined.sums[row, 2] > 0
