"""A real Prometheus, for as long as a test lasts."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.pages import RULES

needed = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Prometheus (Debian: prometheus)")
WINDOW_S = 8


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def impatient(rules: str, window_s: int = WINDOW_S) -> str:
    """The same rules with windows and waiting times of seconds."""
    rules = re.sub(r"\[\d+m\]", f"[{window_s}s]", rules)
    return re.sub(r"for: \d+[ms]", "for: 1s", rules)


@dataclass
class Prometheus:
    url: str
    log: Path

    def query(self, promql: str) -> list[dict[str, Any]]:
        """An instant query's vector. Raises AssertionError when Prometheus does not understand it."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": promql}, timeout=10, trust_env=False).json()
        assert answer["status"] == "success", f"{promql}\n{answer}"
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def value(self, promql: str) -> float | None:
        """The only value, None when there is none."""
        found = self.query(promql)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def alerts(self, state: str = "firing") -> list[dict[str, str]]:
        found = httpx.get(f"{self.url}/api/v1/alerts", timeout=10, trust_env=False).json()["data"]["alerts"]
        return [alert["labels"] for alert in found if alert["state"] == state]

    def targets(self) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v1/targets", timeout=10, trust_env=False).json()
        found: list[dict[str, Any]] = answer["data"]["activeTargets"]
        return found

    def wait_for(self, what: str, condition: Callable[[], Any], deadline_s: float = 40) -> float:
        """Seconds until `condition` held. Raises AssertionError at the deadline."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < deadline_s, f"waited {deadline_s} s for {what}"
            time.sleep(0.2)
        return time.monotonic() - began


@contextmanager
def running(folder: Path, jobs: Mapping[str, tuple[str, list[str]]], rules: str | None = None) -> Iterator[Prometheus]:
    """Scrape every second. `jobs`: name -> (path, targets)."""
    port = free_port()
    rule_file = folder / "rules.yaml"
    rule_file.write_text(impatient(RULES.read_text()) if rules is None else rules)
    config = folder / "prometheus.yaml"
    scrapes = [
        {"job_name": name, "metrics_path": path, "static_configs": [{"targets": targets}]}
        for name, (path, targets) in jobs.items()
    ]
    every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config.write_text(yaml.safe_dump({"global": every, "rule_files": [str(rule_file)], "scrape_configs": scrapes}))
    argv = [
        "prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
    ]  # fmt: skip
    log = folder / "prometheus.log"
    with log.open("w") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT)
    try:
        made = Prometheus(f"http://127.0.0.1:{port}", log)
        made.wait_for("Prometheus to answer", lambda: _ready(made.url))
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
