"""A third party's OTLP collector (rotel, from PyPI): it decodes what it is sent and forwards its own reading of it.

What it forwards is written down by `deploy.otlp`'s receiver, so that a test sees what somebody else's decoder understood.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from deploy.otlp import Receiver


def program() -> str:
    """Path of the collector's binary."""
    found = importlib.util.find_spec("rotel")
    assert found is not None, "rotel is a development dependency: scripts/setup-python.sh"
    assert found.origin is not None
    return str(Path(found.origin).with_name("rotel-agent"))


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Collector:
    """Runs between `with`; `stop` and `start` again keep its address. `options` are the program's own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        self.forwarded = Receiver(folder / "forwarded.jsonl")
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = free_ports(2)
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[1]}"

    def start(self) -> None:
        """Returns once it listens; a port that somebody else took meanwhile is replaced."""
        for _ in range(5):
            grpc, http = self._ports
            # fmt: off
            argv = [program(), "start", "--pid-file", str(self._folder / "pid"), "--log-format", "json",
                    "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}",
                    "--batch-timeout", "20ms", "--exporter", "otlp", "--otlp-exporter-protocol", "http",
                    "--otlp-exporter-endpoint", self.forwarded.url, *self._options]
            # fmt: on
            with (self._folder / "collector.log").open("a") as log:
                self._process = subprocess.Popen(argv, stdout=log, stderr=log)
            if self._listens(http):
                return
            self.stop()
            self._ports = free_ports(2)
        raise AssertionError(self.said())

    def _listens(self, port: int) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return True
        return False

    def stop(self) -> None:
        """It sends on what it has, then ends."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        return (self._folder / "collector.log").read_text()

    def __enter__(self) -> Collector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.forwarded.stop()
