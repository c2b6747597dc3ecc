"""The lab as other code uses it: bring one up, look at it, change it, probe it, take it down.

lab = Lab.up(["retail-store"], "demo")
subprocess.Popen(lab.node_command("node-1", ["eastwest", "agent", ...]))
lab.probe("ui/ui", "svc:catalog/catalog:80/TCP").reachable
lab.down()
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, cast

from eastwest.lab import cgroups, client, container
from eastwest.lab.addresses import ZONES
from eastwest.lab.holding import Held
from eastwest.lab.shipped import scenario_path
from eastwest.lab.state import NETWORKS, LabError, LabFiles, LabState, Network, NodeState, known_labs
from eastwest.lab.targets import ProbeResult, parse_target

Json = dict[str, Any]
PROBE_TIMEOUT_S: Final = 1.0
_NEEDED: Final = ("ip", "nft", "tc", "sh", "nsenter")
_GO_BACK: Final = 'cd "$1" && shift && exec "$@"'
_JOIN: Final = 'echo 0 > "$1" && shift && exec "$@"'


class Lab:
    """A running lab. Cheap: holds names, no connections."""

    def __init__(self, files: LabFiles, state: LabState) -> None:
        self.files = files
        self.state = state

    @classmethod
    def up(
        cls, paths: Iterable[str | Path], name: str = "lab", network: str = "routed", nodes: int = 3, *,
        cgroup_driver: cgroups.Driver = "systemd", wait: bool = True, timeout: float = 60.0,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Lab:  # fmt: skip
        """Start a lab with these manifests (folders, files or scenario names) and wait until its workloads are ready.

        Needs root. Raises LabError, and then leaves nothing behind.
        """
        if os.geteuid() != 0:
            raise LabError("the lab needs root: it makes network namespaces and cgroups")
        if network not in NETWORKS:
            raise LabError(f"unknown network {network!r}: use {', '.join(NETWORKS)}")
        if not 1 <= nodes <= 64:
            raise LabError(f"{nodes} nodes: use 1 to 64 (fewer than {len(ZONES)} leave zones empty)")
        missing = [p for p in _NEEDED if shutil.which(p) is None]
        if missing:
            raise LabError(f"not installed: {', '.join(missing)} (Debian packages iproute2, nftables, util-linux)")
        folders = [scenario_path(p) for p in paths]
        files = LabFiles(name)
        if files.folder.exists() or cgroups.lab_root(name).exists():
            raise LabError(f"a lab called {name!r} exists; end it with: eastwest lab down --name {name}")
        try:
            return cls._start(files, folders, cast(Network, network), nodes, cgroup_driver, wait, timeout, tell)
        except BaseException:
            remove(name)
            raise

    @classmethod
    def _start(
        cls, files: LabFiles, folders: list[Path], network: Network, nodes: int, driver: cgroups.Driver,
        wait: bool, timeout: float, tell: Callable[[str], None],
    ) -> Lab:  # fmt: skip
        for folder in (files.folder, files.logs, files.clients, files.etc):
            folder.mkdir(parents=True, exist_ok=True)
        if len(str(files.socket)) > 100:
            raise LabError(f"{files.socket} is too long for a socket; set EASTWEST_RUN_DIR to something shorter")
        tell(f"starting {nodes} nodes ({network})")
        log = files.folder / "labd.log"
        argv = [sys.executable, "-m", "eastwest.lab.daemon", files.name, network, str(nodes), driver]
        deadline = time.monotonic() + timeout
        with log.open("wb") as out:
            try:
                done = subprocess.run(
                    argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=timeout, check=False
                )
            except subprocess.TimeoutExpired:
                raise LabError(f"the lab did not start in {timeout:g} s:\n{log.read_text()[-2000:]}") from None
        if done.returncode:
            raise LabError(f"the lab did not start:\n{log.read_text()[-2000:]}")
        lab = cls(files, LabState.read(files.description))
        if folders:
            tell("starting pods of " + ", ".join(f.name for f in folders))
            lab.apply(*folders, wait=False, tell=tell)
        while wait:
            left = deadline - time.monotonic()
            try:
                lab.wait(timeout=max(0.1, min(left, 2.0)))
                break
            except LabError as error:
                if left <= 0:
                    raise
                tell(str(error).replace("not ready in time", "waiting"))
        return lab

    @classmethod
    def load(cls, name: str = "lab") -> Lab:
        """A lab that is running. Raises LabError."""
        files = LabFiles(name)
        try:
            state = LabState.read(files.description)
        except FileNotFoundError:
            others = ", ".join(known_labs())
            hint = f"there is {others} (--name)" if others else "start one with: eastwest lab up retail-store"
            raise LabError(f"no lab called {name!r} is running; {hint}") from None
        return cls(files, state)

    @property
    def nodes(self) -> tuple[NodeState, ...]:
        return self.state.nodes

    def node(self, name: str) -> NodeState:
        """Raises LabError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise LabError(f"no node {name!r}; there are {', '.join(n.name for n in self.nodes)}")

    def node_command(self, node: str, argv: Sequence[str]) -> list[str]:
        """An argument list that runs `argv` in a node's network and mount namespaces and in a cgroup of that node."""
        found = self.node(node)
        there = ["sh", "-c", _GO_BACK, "sh", str(Path.cwd()), *argv]  # a mount namespace begins at its root
        return self._joined(Path(found.cgroup, "system.slice"), found.pid, there, f"--mount=/proc/{found.pid}/ns/mnt")

    def fabric_command(self, argv: Sequence[str]) -> list[str]:
        """The same for the fabric, which reaches every node and which every node reaches at 169.254.0.1."""
        return self._joined(Path(self.state.cgroup, "lab"), self.state.fabric_pid, argv)

    def internet_command(self, argv: Sequence[str]) -> list[str]:
        """The same for the internet."""
        return self._joined(Path(self.state.cgroup, "lab"), self.state.internet_pid, argv)

    def _joined(self, cgroup: Path, pid: int, argv: Sequence[str], *more: str) -> list[str]:
        """Raises LabError when `pid` is not the lab's any more: it may be anybody's by now."""
        try:
            known = f"/{Path(self.state.cgroup).name}/" in Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            known = False
        if not known:
            raise LabError(f"lab {self.files.name!r} has died; end it with: eastwest lab down --name {self.files.name}")
        enter = ["nsenter", f"--net=/proc/{pid}/ns/net", *more, "--", *argv]
        return ["sh", "-c", _JOIN, "sh", str(cgroup / "cgroup.procs"), *enter]

    def exec(self, namespace: str, pod: str, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a program inside a pod (its first container's cgroup) and return what it said. Raises LabError."""
        own: Json = {"capture_output": True, "text": True, **options}
        ready = self.prepare_exec(namespace, pod)
        return subprocess.run(list(argv), preexec_fn=ready, check=False, **own)

    def prepare_exec(self, namespace: str, pod: str) -> Callable[[], None]:
        """A function that moves the calling process into a pod. Raises LabError."""
        target = self.call("enter", namespace=namespace, pod=pod)

        def join() -> None:
            cgroups.join(Path(target["cgroup"]))
            container.enter(target["pid"])

        return join

    def probe(self, source: str, target: str, family: int = 4, timeout: float = PROBE_TIMEOUT_S) -> ProbeResult:
        """Probe `TARGET:PORT/PROTO` from a pod `ns/pod`. Raises LabError for what cannot be probed."""
        to, port, protocol = parse_target(target)
        if ":" in to and to.replace(":", "").isalnum() and not to.startswith(("svc:", "node:")):
            family = 6
        return self.probe_many([(source, to, port, protocol, family)], timeout)[0]

    def probe_many(
        self, cells: Sequence[tuple[str, str, int, str, int]], timeout: float = PROBE_TIMEOUT_S, parallel: int = 512
    ) -> list[ProbeResult]:
        """Probe many `(ns/pod, target, port, protocol, family)` at once; results in the same order. Raises LabError."""
        asked = [{"from": c[0], "to": c[1], "port": c[2], "protocol": c[3], "family": c[4]} for c in cells]
        answers = self.call("probe", timeout_s=None, cells=asked, timeout=timeout, parallel=parallel)
        return [
            ProbeResult(c[0], c[1], a["address"], c[2], c[3], c[4], a["result"] == "reachable",
                        None if a["result"] == "reachable" else a["result"])
            for c, a in zip(cells, answers, strict=True)
        ]  # fmt: skip

    def hold(
        self, source: str, target: str, family: int = 4, *, interval_s: float = 0.02, size_bytes: int = 64
    ) -> Held:
        """Open a connection from a pod (or `node:name`, or an address outside) to `TARGET:PORT/PROTO` and keep talking.

        Returns once it is open or could not be opened (`report` tells). Raises LabError.
        """
        to, port, protocol = parse_target(target)
        number = self.call("hold", source=source, target=to, port=port, protocol=protocol, family=family,
                           interval_s=interval_s, size_bytes=size_bytes)  # fmt: skip
        return Held(self.call, int(number))

    def outside(self, addresses: Sequence[str], ports: Sequence[tuple[int, str]]) -> None:
        """Give the internet these addresses and serve `(port, protocol)` on them. Raises LabError."""
        self.call("outside", addresses=list(addresses), ports=[list(p) for p in ports])

    def node_local_dns(self) -> str:
        """Serve DNS on every node at the address returned, untracked; pods that start from now on ask it. Raises LabError."""
        return str(self.call("node_local_dns"))

    def changed_ns(self) -> int:
        """When the newest object was written (`at_ns` of the last line of the watch log)."""
        return int(self.call("changed_ns"))

    def apply(
        self, *paths: str | Path, wait: bool = True, timeout: float = 60.0, tell: Callable[[str], None] = lambda _: None
    ) -> list[tuple[str, str, str]]:
        """Create or replace the objects in files and folders; all or none. `tell` gets warnings.

        Raises LabError naming file, line and field.
        """
        answer = self.call("apply", paths=[str(scenario_path(p)) for p in paths])
        for warning in answer["warnings"]:
            tell(f"warning: {warning}")
        keys = [(k[0], k[1], k[2]) for k in answer["keys"]]
        if wait:
            self.wait(keys, timeout=timeout)
        return keys

    def apply_objects(self, objects: Sequence[Json], *, wait: bool = True, timeout: float = 60.0) -> None:
        """The same for objects in memory."""
        answer = self.call("apply_objects", objects=list(objects))
        if wait:
            self.wait([(k[0], k[1], k[2]) for k in answer["keys"]], timeout=timeout)

    def delete(self, kind: str, namespace: str, name: str) -> bool:
        """Delete one object and what it owns; False when it was not there. Returns before its pods are gone."""
        return bool(self.call("delete", kind=kind, namespace=namespace, name=name))

    def scale(self, kind: str, namespace: str, name: str, replicas: int) -> None:
        self.call("scale", kind=kind, namespace=namespace, name=name, replicas=replicas)

    def trigger(self, namespace: str, cronjob: str) -> str:
        """Run a CronJob now; the Job's name."""
        return str(self.call("trigger", namespace=namespace, name=cronjob))

    def wait(self, keys: Sequence[tuple[str, str, str]] | None = None, timeout: float = 60.0) -> None:
        """Return when workloads (all without `keys`) are ready and their Services in force. Raises LabError."""
        self.call("wait", timeout_s=timeout + 10, keys=None if keys is None else list(keys), timeout=timeout)

    def pause_load(self, paused: bool = True) -> None:
        """Stop or resume the load generators outside; their counters start again at 0."""
        self.call("load", paused=paused)

    def settle(self) -> None:
        """Return when every change made so far is in force on every node."""
        self.call("settled")

    def fault(self, target: str | None = None, *, loss: float | None = None, rate: str | None = None,
              mtu: int | None = None, clear: bool = False) -> list[Json]:  # fmt: skip
        """Set, clear (all, without target) or list link faults; `loss` in percent, `rate` such as `10mbit`, `mtu` bytes."""
        found: list[Json] = self.call("fault", target=target, loss=loss, rate=rate, mtu=mtu, clear=clear)
        return found

    def objects(self, kind: str) -> list[Json]:
        """Every object of a kind as it is now."""
        found: list[Json] = self.call("objects", kind=kind)
        return found

    def clients(self) -> list[Json]:
        """Counters of the load generators outside (see `outside.ClientStats`), in all and per request."""
        return [json.loads(file.read_text()) for file in sorted(self.files.clients.glob("*.json"))]

    def status(self) -> Json:
        found: Json = self.call("status")
        return found

    def call(self, method: str, timeout_s: float | None = 120.0, **params: Any) -> Any:
        """One question to the lab's controller. Raises LabError."""
        return client.call(self.files.socket, method, timeout_s=timeout_s, **params)

    def down(self) -> None:
        """End the lab and leave nothing behind."""
        remove(self.files.name)


def remove(name: str) -> bool:
    """End a lab by its name, in whatever state it is: processes, cgroups, namespaces, files. False: there was none."""
    files = LabFiles(name)
    root = cgroups.lab_root(name)
    if not files.folder.exists() and not root.exists():
        return False
    if not cgroups.remove(root):
        raise LabError(f"some processes of lab {name!r} do not end; see {root}/**/cgroup.procs")
    shutil.rmtree(files.folder, ignore_errors=True)
    return True
