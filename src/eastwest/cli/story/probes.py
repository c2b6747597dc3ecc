"""Every pair of pods on every declared port: what the engine says, and what a packet says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eastwest.lab.runtime import Lab
from eastwest.model.cluster import ClusterState, Pod
from eastwest.model.flow import protocol_number
from eastwest.policy import Engine

PROTOCOLS: Final = ("TCP", "UDP")
TIMEOUT_S: Final = 1.2


@dataclass(frozen=True, slots=True)
class Cell:
    """One probe. `serves`: something listens there, so that an allowed probe is answered, not refused."""

    src: str
    dst: str
    port: int
    protocol: str
    family: int
    allowed: bool
    serves: bool

    @property
    def expected(self) -> str:
        return "timeout" if not self.allowed else "reachable" if self.serves else "refused"

    def __str__(self) -> str:
        return f"{self.src} -> {self.dst}:{self.port}/{self.protocol} IPv{self.family}"


def table(cluster: ClusterState) -> list[Cell]:
    """All pairs of running pods × all ports that any of them declares × TCP and UDP × both families."""
    pods = [p for p in cluster.pods if p.uid and p.ips and p.phase == "Running" and not p.host_network]
    ports = sorted({c.port for p in pods for c in p.ports})
    engine = Engine(cluster)
    cells = []
    for src in pods:
        for dst in pods:
            if src is not dst:
                cells += _pair(engine, src, dst, ports)
    return cells


def _pair(engine: Engine, src: Pod, dst: Pod, ports: list[int]) -> list[Cell]:
    a, b = (engine.ends.pod(p.namespace, p.name) for p in (src, dst))
    served = {(c.protocol, c.port) for c in dst.ports}
    return [
        Cell(
            f"{src.namespace}/{src.name}",
            f"{dst.namespace}/{dst.name}",
            port,
            protocol,
            family,
            engine.decide(a, b, protocol_number(protocol), port, family).allowed,
            (protocol, port) in served,
        )
        for port in ports
        for protocol in PROTOCOLS
        for family in engine.ends.families(a, b)
    ]


def compared(lab: Lab, cells: list[Cell]) -> tuple[list[str], int, int]:
    """(cells in which the wire says something else, how many are open, how many closed). Each is probed from its pod.

    Silence where an answer is due is asked about once more, with patience: a busy machine answers late. An answer where
    silence is due is never excused.
    """
    said = _probe(lab, cells, TIMEOUT_S)
    late = [c for c in cells if said[c] == "timeout" != c.expected]
    said |= _probe(lab, late, 5 * TIMEOUT_S)
    wrong = [f"{c}: {said[c]}, the engine says {c.expected}" for c in cells if said[c] != c.expected]
    closed = sum(outcome == "timeout" for outcome in said.values())
    return wrong, len(cells) - closed, closed


def _probe(lab: Lab, cells: list[Cell], timeout_s: float) -> dict[Cell, str]:
    """What the wire says of each: reachable, refused or timeout."""
    asked = [(c.src, c.dst, c.port, c.protocol, c.family) for c in cells]
    results = lab.probe_many(asked, timeout_s) if asked else []
    return {c: "reachable" if r.reachable else str(r.reason) for c, r in zip(cells, results, strict=True)}
