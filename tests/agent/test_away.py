"""A server that is away, slow to believe, or gone for longer than the buffer lasts: nothing is lost in silence."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from agent.netlab import CALL, Node, bpffs, ip
from agent.receiver import Receiver, agent
from eastwest.model.batch import Amount

pytestmark = pytest.mark.root


def total(records: list[dict[str, int]]) -> int:
    return sum(r["bytes_forward"] + r["bytes_reverse"] for r in records)


def test_what_happened_while_the_server_was_away_comes_later(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    server.status = 503
    with agent(net, server, tmp_path, tick_s=0.1) as running:
        a.run(CALL.format(host=b.ipv4, port=8080, size=5000))
        server.wait(lambda _: "will try again" in running.words(), "the agent says so")
        server.status = 204
        server.wait(lambda r: len(r.edges()) == 2, "both ends of the edge")
        running.stop()
    server.assert_books_closed()
    assert [h.seq for h, _ in server.batches] == list(range(len(server.batches)))
    ends = [(h.window_start_ns, h.window_end_ns) for h, _ in server.batches]
    assert all(x[1] == y[0] for x, y in itertools.pairwise(ends))  # windows follow each other
    assert all(h.shipping_lost == {} for h, _ in server.batches)


def test_what_the_buffer_cannot_hold_is_declared(net: Node, server: Receiver, tmp_path: Path) -> None:
    a, b = net.pod("a"), net.pod("b")
    b.server(8080)
    server.status = 503
    with agent(net, server, tmp_path, "--buffer-bytes", "9000", tick_s=0.05) as running:
        before = net.link_counters(a)
        for _ in range(5):
            a.run(CALL.format(host=b.ipv4, port=8080, size=50_000))
        counted = net.link_counters(a)
        server.status = 204
        server.wait(lambda r: any(h.shipping_lost for h, _ in r.batches), "the loss is declared", 40)
        running.stop()
    server.assert_books_closed()
    lost = [h.shipping_lost["buffer_full"] for h, _ in server.batches if h.shipping_lost]
    windows = [w for h, _ in server.batches for w in h.shipping_lost_windows]
    assert windows == sorted(windows)
    # both interfaces' hooks saw the same packets: sent + declared = what the link counted, twice
    link = Amount(*(x - y for x, y in zip(counted, before, strict=True)))
    said = total(server.records) + sum(a.bytes for a in lost)
    assert said == pytest.approx(2 * (link.bytes - 14 * link.packets), rel=1e-3)


def test_a_wrong_token_is_said_and_retried(net: Node, server: Receiver, tmp_path: Path) -> None:
    net.pod("a")
    with agent(net, server, tmp_path, tick_s=0.1) as running:
        token = tmp_path / "token"
        good = token.read_text()
        token.write_text("stolen")
        server.wait(lambda _: "HTTP 401" in running.words(), "the agent says so")
        before = len(server.batches)
        token.write_text(good)
        server.wait(lambda r: len(r.batches) > before, "batches again, with the token of now")
        running.stop()


def test_metrics_and_health(net: Node, server: Receiver, tmp_path: Path) -> None:
    net.pod("a")
    with agent(net, server, tmp_path, "--listen", "127.0.0.1:7999", tick_s=0.1) as running:
        server.wait(lambda r: bool(r.batches), "a window")
        code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:7999/{}').read().decode())"
        assert net.exec(sys.executable, "-c", code.format("healthz")).strip() == "ok"
        text = net.exec(sys.executable, "-c", code.format("metrics"))
        assert text.strip().endswith("# EOF") or "# TYPE" in text
        assert 'node="n1"' in text
        running.stop()


def test_the_nodes_own_uplink_is_not_recorded(net: Node, server: Receiver, tmp_path: Path) -> None:
    """A veth to a namespace without pods: held, found to be nobody's, let go; the pod's edge is there once."""
    world = f"{net.netns}-world"
    ip("netns", "add", world)
    try:
        ip("link", "add", "eth0", "type", "veth", "peer", "name", "uplink", "netns", net.netns, netns=world)
        for words in ("link set eth0 up", "addr add 192.0.2.1/24 dev eth0", "route add default via 192.0.2.2"):
            ip(*words.split(), netns=world)
        for words in ("link set uplink up", "addr add 192.0.2.2/24 dev uplink"):
            ip(*words.split(), netns=net.netns)
        a = net.pod("a")
        a.server(8080)
        with agent(net, server, tmp_path, tick_s=0.2) as running:
            subprocess.run(
                ["ip", "netns", "exec", world, sys.executable, "-c", CALL.format(host=a.ipv4, port=8080, size=100)],
                check=True,
            )
            server.wait(lambda _: "is no pod's" in running.words(), "the uplink is let go", 20)
            running.stop()
    finally:
        ip("netns", "del", world)
    server.assert_books_closed()
    assert {k[:4] for k in server.edges()} == {("server", "192.0.2.1", a.ipv4, 8080)}
    assert {b.interface for h, _ in server.batches for b in h.books} == {a.veth}


def run_agent(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "eastwest", "agent", *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_unusable_arguments_are_named(tmp_path: Path) -> None:
    done = run_agent("--node", "n")
    assert done.returncode == 2
    assert "--cluster, --token-file missing" in done.stderr
    assert run_agent("--node", "n", "--cluster", "c", "--token-file", "t", "--tick", "0").returncode == 2
    (tmp_path / "t").write_text("x")
    bad = run_agent("--node", "n", "--cluster", "c", "--token-file", str(tmp_path / "t"), "--server", "ftp://x")
    assert bad.returncode == 1
    assert "expected http://HOST:PORT" in bad.stderr
    none = run_agent("--node", "n", "--cluster", "c", "--token-file", str(tmp_path / "none"))
    assert none.returncode == 2
    assert f"{tmp_path}/none: no such file" in none.stderr


TAKEN = """
import socket, subprocess, sys
with socket.create_server(("127.0.0.1", 7421)):
    sys.exit(subprocess.run([sys.executable, "-m", "eastwest", "agent", "--listen", "127.0.0.1:7421", *sys.argv[1:]]).returncode)
"""


def test_an_address_that_is_taken_is_said_before_anything_is_in_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("x")
    words = ["--node", "n", "--cluster", "c", "--token-file", str(tmp_path / "t"), "--without", "sock"]
    with bpffs() as folder:
        done = subprocess.run(
            ["unshare", "-n", sys.executable, "-c", TAKEN, *words, "--pin", str(folder / "eastwest")],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 1
        assert "cannot listen on 127.0.0.1:7421: Address already in use" in done.stderr
        assert not (folder / "eastwest").exists()


def test_probe_says_what_works() -> None:
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-m", "eastwest", "agent", "--probe"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    hooks = [line.split()[:2] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert hooks[:2] == [["tcx", "on"], ["conntrack", "on"]]
