"""A small world for hook tests: namespaces joined by veth, a cgroup of their own, and actors that live there.

Everything is named ewt-… and taken down however the test ends. The machine's own namespace is not touched.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")

_ACTOR = """
import json, sys
space = {}
for line in sys.stdin:
    try:
        exec(json.loads(line), space)
        print(json.dumps({"ok": space.pop("result", None)}), flush=True)
    except BaseException as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
"""


def sh(command: str, *, netns: str | None = None, stdin: str | None = None) -> str:
    """Run a command, in a namespace if one is named; its output. Raises with what it said."""
    words = ["ip", "netns", "exec", netns, *command.split()] if netns else command.split()
    done = subprocess.run(words, capture_output=True, text=True, input=stdin, check=False)
    if done.returncode:
        raise AssertionError(f"{command}: {done.stderr or done.stdout}")
    return done.stdout


def wait_for(get: Callable[[], _T], wanted: Callable[[_T], bool], seconds: float = 10) -> _T:
    """Ask again until the answer is wanted; fails with the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        got = get()
        if wanted(got):
            return got
        assert time.monotonic() < deadline, f"still {got!r} after {seconds} s"
        time.sleep(0.01)


class Actor:
    """A Python process in a namespace and a cgroup that runs code sent to it."""

    def __init__(self, netns: str, cgroup: Path) -> None:
        def join() -> None:
            (cgroup / "cgroup.procs").write_text(str(os.getpid()))

        self.process = subprocess.Popen(
            ["ip", "netns", "exec", netns, sys.executable, "-c", _ACTOR],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=join,
        )
        self.do("import socket, struct, time")

    def do(self, code: str) -> Any:
        """Run code there; what it left in `result`. Its failure is ours."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        assert ready, f"no answer after 60 s to: {code}"
        answer = json.loads(self.process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["ok"]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def cgroup_root() -> Path:
    """Where cgroup v2 is mounted."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise AssertionError("no cgroup v2 here")


@contextmanager
def cgroup(name: str) -> Iterator[Path]:
    path = cgroup_root() / f"ewt-{name}-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        wait_for(lambda: (path / "cgroup.procs").read_text(), lambda text: not text)
        path.rmdir()


@contextmanager
def namespaces(*names: str) -> Iterator[list[str]]:
    made: list[str] = []
    try:
        for name in names:
            full = f"ewt-{name}-{os.getpid()}"
            sh(f"ip netns add {full}")
            made.append(full)
            sh("ip link set lo up", netns=full)
        yield made
    finally:
        for full in made:
            subprocess.run(["ip", "netns", "del", full], check=False)


def join_by_veth(a: str, b: str, net: str = "10.77.0", net6: str = "fd77::") -> None:
    """One wire between two namespaces: a has address 1, b has 2; the interface is called eth0 in both."""
    sh(f"ip link add eth0 netns {a} type veth peer name eth0 netns {b}")
    for netns, last in ((a, 1), (b, 2)):
        sh(f"ip addr add {net}.{last}/24 dev eth0", netns=netns)
        sh(f"ip -6 addr add {net6}{last}/64 dev eth0 nodad", netns=netns)
        sh("ip link set eth0 up", netns=netns)


def nft(netns: str, rules: str) -> None:
    sh("nft -f -", netns=netns, stdin=rules)


def tcp_counters(netns: str) -> dict[str, int]:
    """The namespace's own counters of TCP: /proc/net/snmp and netstat as `nstat` reads them."""
    counters: dict[str, int] = {}
    for file in ("snmp", "netstat"):
        lines = sh(f"cat /proc/net/{file}", netns=netns).splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            prefix = names.split(":")[0]
            for name, value in zip(names.split()[1:], values.split()[1:], strict=True):
                counters[prefix + name] = int(value)
    return counters
