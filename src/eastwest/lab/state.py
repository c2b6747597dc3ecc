"""Where one lab keeps its files, and the description of it that any process may read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from eastwest.runtime import paths

Network = Literal["routed", "bridged", "vxlan"]
NETWORKS: Final[tuple[str, ...]] = get_args(Network)
Json = dict[str, Any]
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


class LabError(Exception):
    """Something a person can act on; the text says what."""


@dataclass(frozen=True, slots=True)
class LabFiles:
    """The files of the lab called `name`. The name is unique on a machine: its cgroup carries it too."""

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LabError(f"bad lab name {self.name!r}: use lower case letters, digits and dashes, at most 30")

    @property
    def folder(self) -> Path:
        return paths.run_dir() / "lab" / self.name

    @property
    def description(self) -> Path:
        return self.folder / "lab.json"

    @property
    def watch(self) -> Path:
        """Append-only Kubernetes watch events, one JSON object a line."""
        return self.folder / "watch.jsonl"

    @property
    def socket(self) -> Path:
        return self.folder / "control.sock"

    @property
    def go(self) -> Path:
        """There while everything that was applied has been ready: steady load may begin."""
        return self.folder / "go"

    @property
    def zone(self) -> Path:
        """What the cluster DNS answers; its servers read it again whenever it changes."""
        return self.folder / "zone.json"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def clients(self) -> Path:
        """One JSON file of counters per load generator."""
        return self.folder / "clients"

    @property
    def etc(self) -> Path:
        """resolv.conf and hosts files that pods see under /etc."""
        return self.folder / "etc"


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node as other processes need it. `pid` holds its network namespace; `cgroup` is its own subtree."""

    name: str
    pid: int
    zone: str
    ips: tuple[str, ...]
    cgroup: str


@dataclass(frozen=True, slots=True)
class LabState:
    """lab.json. `fabric_pid` and `internet_pid` hold those network namespaces."""

    name: str
    network: Network
    cgroup: str
    pid: int
    fabric_pid: int
    internet_pid: int
    created_ns: int
    cgroup_driver: str = "systemd"
    nodes: tuple[NodeState, ...] = field(default=())

    def write(self, file: Path) -> None:
        write_atomically(file, json.dumps(asdict(self), indent=1))

    @classmethod
    def read(cls, file: Path) -> LabState:
        """Raises FileNotFoundError."""
        raw = json.loads(file.read_text())
        nodes = tuple(NodeState(**{**n, "ips": tuple(n["ips"])}) for n in raw.pop("nodes"))
        return cls(nodes=nodes, **raw)


def write_atomically(file: Path, text: str) -> None:
    """Replace `file` so that a reader sees the old or the new text, never a part."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(file)


def known_labs() -> Iterator[str]:
    """Names of the labs that have a folder on this machine, running or not."""
    root = paths.run_dir() / "lab"
    if root.is_dir():
        yield from sorted(p.name for p in root.iterdir() if p.is_dir() and _NAME.fullmatch(p.name))
