"""The whole product in one machine, as the processes it really is: a lab, one agent a node, one server.

Owns starting them in order, waiting until each answers, and stopping all of them, also after a crash of one. Used by
`eastwest demo` and by the end-to-end tests; knows nothing of what flows through.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from eastwest.lab.runtime import Lab
from eastwest.runtime.tokens import agent_token, load_secret

PR_SET_PDEATHSIG = 1
_REAP = 'read -r word || { "$0" -m eastwest lab down --name "$1"; rm -rf "$2"; }'
Say = Callable[[str], None]


class StackError(Exception):
    """A part did not come up; the message holds its last words."""


def _die_with_parent() -> None:
    """Runs in the child: the kernel ends it when this process dies, however that happens (prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start."""

    scenarios: Sequence[str]
    name: str = "demo"
    network: str = "routed"
    nodes: int = 3
    listen: str = "127.0.0.1:7420"  # port 0: any that is free
    tick_s: float = 1.0
    enforce: bool = False  # agents put plans in force; what is off at the server denies nothing all the same
    agent_options: Sequence[str] = ()
    server_options: Sequence[str] = ()


@dataclass
class Part:
    """One process and where its words go."""

    name: str
    argv: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-8:] if self.log.exists() else []
        return "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"

    def check(self) -> None:
        """Raise StackError when the process has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise StackError(f"{self.name} ended with {self.process.returncode}; it said:\n{self.last_words()}")

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def stop(self, deadline_s: float = 8.0) -> None:
        """SIGTERM, then SIGKILL to its whole session."""
        if self.process is None:
            return
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


@dataclass
class Stack:
    """A running product. Use as a context manager: leaving it leaves nothing behind."""

    plan: Plan
    say: Say = field(default=lambda _: None)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="eastwest-")))
    lab: Lab | None = None
    server: Part | None = None
    agents: dict[str, Part] = field(default_factory=dict)
    pins: Part | None = None
    _reaper: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        host, _, port = self.plan.listen.rpartition(":")
        if port == "0":
            with socket.create_server((host.strip("[]"), 0)) as free:
                self.plan = replace(self.plan, listen=f"{host}:{free.getsockname()[1]}")

    @property
    def url(self) -> str:
        return f"http://{self.plan.listen}"

    @property
    def ingest_socket(self) -> Path:
        return self.folder / "ingest.sock"

    def __enter__(self) -> Stack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    # --- start -------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Nodes first, then server and agents, and the workloads last: their first packets are seen, too."""
        self._start_reaper()
        self.say(f"starting a cluster of {self.plan.nodes} nodes")
        self.lab = Lab.up([], self.plan.name, network=self.plan.network, nodes=self.plan.nodes)
        self.say("starting the server")
        self.start_server()
        self.say("starting an agent on each node")
        for node in self.lab.nodes:
            self.start_agent(node.name)
        self.wait_for("every agent to report", self._all_report, 120)
        self.say(f"starting {', '.join(Path(s).name for s in self.plan.scenarios)}")
        if self.plan.scenarios:
            self.lab.apply(*self.plan.scenarios)

    def _start_reaper(self) -> None:
        """A process that outlives this one, also a kill -9, and then cleans up: its end of a pipe closes with us."""
        argv = ["sh", "-c", _REAP, sys.executable, self.plan.name, str(self.folder)]
        self._reaper = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def _dismiss_reaper(self) -> None:
        if self._reaper is not None:
            self._reaper.communicate(b"done\n")
            self._reaper = None

    def _all_report(self) -> bool:
        assert self.lab is not None
        nodes = self.get("/api/v1/coverage", window="5m")["nodes"]
        return {n["node"] for n in nodes if n["state"] == "reporting"} == {n.name for n in self.lab.nodes}

    def start_server(self) -> None:
        """Start (or start again) the server and wait until it answers."""
        if self.server is None:
            argv = [sys.executable, "-m", "eastwest", "server", "--lab", self.plan.name, "--listen", self.plan.listen]
            argv += ["--ingest-socket", str(self.ingest_socket), "--data", str(self.folder / "data")]
            self.server = Part("the server", [*argv, *self.plan.server_options], self.folder / "server.log")
        self.server.start()
        self.wait_for("the server to answer", lambda: self._healthy(), 120)
        self.server.check()  # it was not somebody else's server that answered

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def start_agent(self, node: str) -> None:
        """Start (or start again) the agent of `node`, with a token that only speaks for it."""
        assert self.lab is not None
        if node not in self.agents:
            token_file = self.folder / f"{node}.token"
            secret = load_secret(self.folder / "data")
            token_file.touch(mode=0o600)
            token_file.write_text(agent_token(secret, self.plan.name, node))
            argv = [sys.executable, "-m", "eastwest", "agent", "--node", node, "--cluster", self.plan.name]
            argv += ["--server", f"unix:{self.ingest_socket}", "--token-file", str(token_file)]
            argv += ["--cgroup", self.lab.node(node).cgroup]
            if self.plan.enforce:
                argv += ["--enforce", "--state", str(self.folder / f"{node}.state")]
                argv += ["--pin", str(self._pins() / node)]
            argv += ["--tick", str(self.plan.tick_s), *self.plan.agent_options]
            self.agents[node] = Part(
                f"the agent of {node}", self.lab.node_command(node, argv), self.folder / f"{node}.log"
            )
        self.agents[node].start()

    def _pins(self) -> Path:
        """A bpffs that lasts as long as a process of ours: what is in force outlives an agent, and never this product."""
        if self.pins is None:
            script = "mount -t bpf bpf /sys/fs/bpf && echo ready && exec sleep infinity"
            self.pins = Part("the bpffs", ["unshare", "--mount", "sh", "-c", script], self.folder / "bpffs.log")
            self.pins.start()
            self.wait_for("a bpffs", lambda: "ready" in self.pins.last_words() if self.pins else False, 60)
        assert self.pins.process is not None
        return Path(f"/proc/{self.pins.process.pid}/root/sys/fs/bpf")

    # --- watch -------------------------------------------------------------------------------------------------
    def parts(self) -> list[Part]:
        return [part for part in (self.server, self.pins, *self.agents.values()) if part is not None]

    def check(self) -> None:
        for part in self.parts():
            part.check()

    def wait_for(self, what: str, condition: Callable[[], bool], deadline_s: float) -> None:
        """Poll `condition` until it holds. Raises StackError at the deadline or when a part has ended."""
        until = time.monotonic() + deadline_s
        while not condition():
            self.check()
            if time.monotonic() > until:
                words = "\n".join(f"  {p.name}:\n{p.last_words()}" for p in self.parts())
                raise StackError(f"waited {deadline_s:.0f} s for {what}\n{words}")
            time.sleep(0.1)

    def get(self, path: str, **params: str) -> Any:
        """One answer of the API. Raises StackError on an error answer, and when there is none."""
        return self._ask("GET", path, params=params)

    def put(self, path: str, **body: Any) -> Any:
        """Change something by the API. Raises StackError as `get` does."""
        return self._ask("PUT", path, json=body)

    def _ask(self, method: str, path: str, **given: Any) -> Any:
        try:
            response = httpx.request(method, f"{self.url}{path}", timeout=30, trust_env=False, **given)
        except httpx.TransportError as error:
            self.check()
            raise StackError(f"{method} {path}: {error}") from error
        if response.status_code != 200:
            raise StackError(f"{method} {path} {json.dumps(given)} answered {response.status_code}: {response.text}")
        return response.json()

    def wait_for_edges(self, deadline_s: float = 120.0) -> int:
        """Wait until edges are visible; how many there are."""
        self.wait_for("the first edges", lambda: bool(self.get("/api/v1/service-map")["edges"]), deadline_s)
        return len(self.get("/api/v1/service-map")["edges"])

    # --- stop --------------------------------------------------------------------------------------------------
    def stop(self) -> None:
        for agent in self.agents.values():
            agent.signal(signal.SIGTERM)
        for agent in self.agents.values():
            agent.stop()
        if self.server is not None:
            self.server.stop()
        if self.pins is not None:
            self.pins.stop()
        if self.lab is not None:
            self.lab.down()
            self.lab = None
        shutil.rmtree(self.folder, ignore_errors=True)
        self._dismiss_reaper()
