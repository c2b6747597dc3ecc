"""A server that takes batches on a Unix socket, and an agent that sends to it: for tests on real packets."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs

from agent.netlab import Node, wait_for
from eastwest.agent.metrics.names import NAMES_PATH
from eastwest.model.batch import Amount, BatchHeader
from eastwest.model.flow import ip_from_bytes
from eastwest.wire import batches
from eastwest.wire.decode import decode

TOKEN = "let-me-in"


@dataclass
class Receiver:
    """Every batch that was taken, once, as a server keeps them; `status` is what the next ones are answered."""

    path: Path
    status: int = 204
    batches: list[tuple[BatchHeader, list[dict[str, Any]]]] = field(default_factory=list)
    requests_of_several: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.split("?")[0].endswith("/realised"):
                    return self.reply(204)
                body = gzip.decompress(sent)
                status = receiver.status
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    status = 401
                if status != 204 or self.path != batches.PATH:
                    return self.reply(receiver.take(body, status))
                receiver.requests_of_several += 1
                answers = [batches.BatchAnswer(receiver.take(one, status)) for one in batches.split(body)]
                return self.reply(200, batches.answers_to_json(answers))

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                if path != NAMES_PATH:
                    return self.reply(404)
                pods = [[uid, "ns", uid] for uid in parse_qs(query).get("uid", [])]
                return self.reply(200, json.dumps({"pods": pods}).encode())

            def reply(self, status: int, content: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

            def address_string(self) -> str:
                return "unix"

        return Handler

    def take(self, body: bytes, status: int) -> int:
        if status == 204:
            header, table = decode(body)
            if (header.boot_id, header.seq) not in [(h.boot_id, h.seq) for h, _ in self.batches]:
                self.batches.append((header, table.to_pylist()))
        return status

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every record so far, addresses as text."""
        found = []
        for _, records in list(self.batches):
            for record in records:
                words = dict(record)
                for name in ("src_ip", "dst_ip", "service_ip"):
                    words[name] = str(ip_from_bytes(record[name])) if record[name] is not None else None
                found.append(words)
        return found

    def edges(self) -> dict[tuple[Any, ...], dict[str, int]]:
        """Sums by (reporter, src, dst, dst_port, protocol, service, service_port, pod_uid)."""
        found: dict[tuple[Any, ...], dict[str, int]] = {}
        for r in self.records:
            key = tuple(
                r[n]
                for n in (
                    "reporter",
                    "src_ip",
                    "dst_ip",
                    "dst_port",
                    "protocol",
                    "service_ip",
                    "service_port",
                    "pod_uid",
                )
            )
            sums = found.setdefault(key, {})
            for name, value in r.items():
                if name.startswith(("bytes_", "packets_", "segments_", "connections")):
                    sums[name] = sums.get(name, 0) + value
        return found

    def hook(self, interface: str) -> Amount:
        """What the hook of an interface counted in all."""
        books = [b for header, _ in list(self.batches) for b in header.books if b.interface == interface]
        return Amount(sum(b.hook.bytes for b in books), sum(b.hook.packets for b in books))

    def unseen(self) -> dict[str, Amount]:
        """What passed each interface without reaching its hook, all causes."""
        found: dict[str, Amount] = {}
        for header, _ in list(self.batches):
            for book in header.books:
                for amount in book.unseen.values():
                    before = found.get(book.interface, Amount(0, 0))
                    found[book.interface] = Amount(before.bytes + amount.bytes, before.packets + amount.packets)
        return found

    def assert_hook_counted(self, interface: str, link_l3_bytes: int) -> None:
        """What the link counted is what the hook counted, and ARP and neighbour discovery beside the books."""
        books = [b for header, _ in list(self.batches) for b in header.books if b.interface == interface]
        beside = sum(sum(b.other.values()) for b in books)
        missing = link_l3_bytes - self.hook(interface).bytes
        assert 0 <= missing <= beside * 90, f"{missing} bytes are nowhere, {beside} packets are beside the books"

    def assert_books_closed(self) -> None:
        """Every book of every window, to the byte, and nothing passed a hook by."""
        assert self.unseen() == {}
        for header, records in self.batches:
            assert [b for b in header.books if b.unexplained != Amount(0, 0)] == []
            recorded = sum(b.recorded.bytes for b in header.books)
            assert recorded == sum(r["bytes_forward"] + r["bytes_reverse"] for r in records)

    def wait(self, condition: Callable[[Receiver], bool], what: str, deadline_s: float = 15.0) -> None:
        wait_for(lambda: condition(self), what, deadline_s)


@contextlib.contextmanager
def receiving(folder: Path) -> Iterator[Receiver]:
    receiver = Receiver(folder / "server.sock")
    server = ThreadingUnixStreamServer(str(receiver.path), receiver.handler())
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class RunningAgent:
    process: subprocess.Popen[bytes]
    log: Path

    def words(self) -> str:
        return self.log.read_text()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0, self.words()


@contextlib.contextmanager
def agent(
    node: Node,
    receiver: Receiver,
    folder: Path,
    *options: str,
    tick_s: float = 0.3,
    source: Path | None = None,
    command: Sequence[str] = ("-m", "eastwest"),
    cgroups: bool = False,
    under: Sequence[str] = (),
) -> Iterator[RunningAgent]:
    """The real command in the node's namespace, recording when this yields. Stopped, and its end checked, after.

    `source`: where to find another build of eastwest; `command`: what Python runs. `cgroups`: it sees the cgroup tree, which
    `ip netns exec` hides with the rest of /sys. `under`: a command that runs it, such as setpriv.
    """
    token = folder / "token"
    token.write_text(TOKEN + "\n")
    log = folder / f"agent-{os.urandom(3).hex()}.log"
    argv = ["env", f"PYTHONPATH={source}"] if source is not None else []
    argv += [sys.executable, *command, "agent", "--node", "n1", "--cluster", "c1", "--token-file", str(token)]
    argv += ["--server", f"unix:{receiver.path}", "--tick", str(tick_s)]
    argv += ["--cgroup", str(node.tree), *options]
    with log.open("wb") as out:
        enter = ["nsenter", f"--net=/run/netns/{node.netns}"] if cgroups else ["ip", "netns", "exec", node.netns]
        process = subprocess.Popen([*enter, *under, *argv], stderr=out)
    running = RunningAgent(process, log)
    try:
        wait_for(lambda: "recording" in running.words() or process.poll() is not None, "the agent is up", 20)
        assert process.poll() is None, running.words()
        yield running
        if process.poll() is None:
            running.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        sys.stderr.write(running.words())
