"""SCTP on real packets where no conntrack helps: who opened an association, and whether its opening was seen."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO

import pytest

from agent.netlab import Node, Pod
from agent.receiver import Receiver, agent

pytestmark = pytest.mark.root
SCTP, OPEN, CLOSED = 132, 38412, 38413
SERVE = """
import asyncio
from eastwest.lab.sctp.association import Stack
from eastwest.lab.sctp.raw import Server
async def main():
    server = Server(Stack([{port}])); print("ready", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
HOLD = """
import asyncio, sys
from eastwest.lab.sctp.dial import Association
async def main():
    held = await Association.open({host!r}, {port}); print(held._client.src_port, flush=True)
    sys.stdin.readline()
    assert await held.echo(b"older") == b"older"
    for _ in range(2):
        young = await Association.open({host!r}, {port})
        assert await young.echo(b"younger") == b"younger"
        young.close()
    try:
        await Association.open({host!r}, {closed})
    except ConnectionRefusedError:
        print("refused", flush=True)
    held.close()
asyncio.run(main())
"""


def line(stream: IO[bytes] | None) -> str:
    assert stream is not None
    return stream.readline().decode().strip()


@pytest.mark.parametrize("family", [4, 6])
def test_untracked_associations_are_told_apart_by_their_chunks(
    net: Node, server: Receiver, tmp_path: Path, family: int
) -> None:
    """One that is older than the agent is not guessed, two that are younger are counted, a refused one is not established."""

    def address(pod: Pod) -> str:
        return pod.ipv4 if family == 4 else pod.ipv6

    client, amf = net.pod("gnb"), net.pod("amf")
    assert "ct state" not in net.exec("nft", "list", "ruleset"), "nobody may track these connections"
    code = HOLD.format(host=address(amf), port=OPEN, closed=CLOSED)
    with amf.python(SERVE.format(port=OPEN), stdout=subprocess.PIPE) as serving:
        try:
            assert line(serving.stdout) == "ready"
            with client.python(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as calls:
                held_port = int(line(calls.stdout))
                with agent(net, server, tmp_path) as running:
                    assert calls.stdin is not None
                    calls.stdin.write(b"\n")
                    calls.stdin.flush()
                    assert line(calls.stdout) == "refused"
                    assert calls.wait(30) == 0
                    running.stop()
        finally:
            serving.kill()
    server.assert_books_closed()
    told = {
        (r["reporter"], r["role_source"], r["src_ip"], r["src_port"], r["dst_ip"], r["dst_port"])
        for r in server.records
        if r["protocol"] == SCTP
    }
    a, b = address(client), address(amf)
    assert told == {
        (reporter, "handshake", a, None, b, port) for reporter in ("client", "server") for port in (OPEN, CLOSED)
    } | {
        ("unknown", "unknown", a, held_port, b, OPEN),
        ("unknown", "unknown", b, OPEN, a, held_port),
    }
    counts = {
        k[:4]: (v["connections"], v["connections_established"]) for k, v in server.edges().items() if k[4] == SCTP
    }
    for reporter in ("client", "server"):
        assert counts[reporter, a, b, OPEN] == (2, 2)
        assert counts[reporter, a, b, CLOSED] == (1, 0)
    assert counts["unknown", a, b, OPEN] == counts["unknown", b, a, held_port] == (0, 0)
