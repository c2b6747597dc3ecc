"""A real server process, started and killed as an operator (or a power cut) would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from eastwest.runtime.tokens import agent_token, load_secret
from eastwest.wire.client import Client

DEADLINE_S = 60.0


def eventually(what: str, condition: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """The first true value of `condition`; fails at the deadline."""
    until = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < until, f"waited {deadline_s} s for {what}"
        time.sleep(0.02)
    return value


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class RunningServer:
    """`eastwest server` in a folder of its own. Use as a context manager."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(exist_ok=True)
        self.data = folder / "data"
        self.socket = folder / "ingest.sock"
        self.log = folder / "server.log"
        self.port = free_port()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RunningServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, wait: bool = True) -> None:
        argv = [sys.executable, "-m", "eastwest", "server", "--listen", f"127.0.0.1:{self.port}"]
        argv += ["--data", str(self.data), "--ingest-socket", str(self.socket), "--memory", "700", *self.options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            eventually("the server to answer", self.answers)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str, **params: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", params=params, timeout=60, trust_env=False)

    def client(self, node: str = "node-a", cluster: str = "c1", timeout_s: float = 20.0) -> Client:
        token = agent_token(load_secret(self.data), cluster, node)
        return Client(f"unix:{self.socket}", token, timeout_s)

    def store_pid(self) -> int | None:
        """The process that holds the engine, a child of the server."""
        assert self.process is not None
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        except FileNotFoundError:
            return None
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        for pid in {*children, *(p for t in threads for p in t.read_text().split())}:
            if b"eastwest.store.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
        return None

    def kill(self) -> None:
        """kill -9 of the server alone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_store(self) -> None:
        pid = self.store_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> int:
        """As Ctrl-C; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
