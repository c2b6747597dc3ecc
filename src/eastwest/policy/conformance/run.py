"""Runs conformance cases through the engine: every expected cell, what the engine says, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eastwest.model.cluster import ClusterState
from eastwest.model.flow import protocol_number
from eastwest.policy.conformance.case import DEFAULT_PORTS, PROTOCOLS, Case, CaseError, Cell, Step
from eastwest.policy.conformance.cluster import Addresses, CaseCluster
from eastwest.policy.engine import Engine
from eastwest.policy.options import Options
from eastwest.policy.targets import UnknownTargetError, resolve

Parse = Callable[[list[dict[str, Any]]], ClusterState]
"""Objects to a typed cluster; raises ValueError when the API server would refuse one."""
Service = tuple[int, str]
"""(port, protocol)"""


@dataclass(frozen=True, slots=True)
class Question:
    """One connection to try: names as in the case, expanded. Port 0 for protocols without ports."""

    src: str
    dst: str
    port: int
    protocol: str
    family: int


@dataclass(frozen=True, slots=True)
class Row:
    """One cell. `engine` is True for allowed; `step` is 0-based; `wire` stays None without packets."""

    case: str
    step: int
    question: Question
    expected: bool
    engine: bool
    reason: str
    established: bool = False

    @property
    def passed(self) -> bool:
        return self.expected == self.engine

    def to_json(self, wire: bool | None = None) -> dict[str, object]:
        """The row of `--json`."""
        q = self.question
        return {
            "case": self.case,
            "step": self.step,
            "from": q.src,
            "to": q.dst,
            "port": q.port,
            "protocol": q.protocol,
            "family": q.family,
            "expected": self.expected,
            "engine": self.engine,
            "wire": wire,
            "reason": self.reason,
        }


def run_case(
    case: Case, parse: Parse, options: Options | None = None, addresses: Addresses | None = None
) -> Iterator[Row]:
    """Every cell of every step. Raises CaseError for objects, names or services that do not exist."""
    run = CaseRun(case, parse, options, addresses)
    run.cluster.objects()  # addresses are given once, before anything refers to them
    for number in range(len(case.steps)):
        run.change(number)
        yield from run.rows(number)


class CaseRun:
    """A case as it goes: `change` to a step, do with `cluster` what is to be done, then ask for its `rows`."""

    def __init__(
        self, case: Case, parse: Parse, options: Options | None = None, addresses: Addresses | None = None
    ) -> None:
        """`addresses` may grow while the case runs: a pod's are looked up when its objects are first wanted."""
        self.case = case
        self.cluster = CaseCluster(case.cluster, addresses)
        self._parse, self._options = parse, options
        self._before: Engine | None = None
        self._engine: Engine | None = None

    def change(self, number: int) -> None:
        """Delete and apply what step `number` says. Raises CaseError."""
        step = self.case.steps[number]
        with self._told(number):
            for reference in step.delete:
                self.cluster.delete(reference)
            for item in step.apply:
                self.cluster.apply(item)

    def rows(self, number: int) -> Iterator[Row]:
        """Every cell of step `number`, which was the last change. Raises CaseError."""
        step, case = self.case.steps[number], self.case
        with self._told(number):
            engine = Engine(self._parse(self.cluster.objects()), self._options)
            self._before, self._engine = self._engine, engine
            for cell, question in questions(engine, step, self.cluster):
                allowed, reason = ask(engine, question)
                if cell is not None and cell.established:
                    allowed, reason = _established(self._before, question, allowed, reason)
                expected = cell.allowed if cell is not None else step.default is True
                yield Row(case.name, number, question, expected, allowed, reason, cell is not None and cell.established)

    def used_again(self, number: int) -> list[Question]:
        """The connections to open now, after the rows of step `number`: those that the next step calls established."""
        if self._engine is None or number + 1 >= len(self.case.steps):
            return []
        with self._told(number):
            names = pod_names(self._engine)
            cells = [one for cell in self.case.steps[number + 1].cells if cell.established for one in cell.of(names)]
            asked = [question for cell in cells for question in _expand(self._engine, cell, self.cluster)]
            return list(dict.fromkeys(asked))

    @contextmanager
    def _told(self, number: int) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise CaseError(f"{self.case.file}: {self.case.name}: steps[{number}]: {error}") from error


def ask(engine: Engine, question: Question) -> tuple[bool, str]:
    """Whether the connection is allowed to every backend of its target. Raises CaseError when backends differ."""
    number = protocol_number(question.protocol)
    if question.protocol == "ICMP" and question.family == 6:
        number = protocol_number("ICMPV6")
    sources = resolve(engine, question.src, literal=True)
    found = [
        engine.decide(src.end, dst.end, number, dst.port, question.family)
        for dst in resolve(engine, question.dst, question.port, question.protocol)
        for src in sources
        if question.family in engine.ends.families(src.end, dst.end)
    ]
    if len({v.allowed for v in found}) != 1:
        raise CaseError(f"{question}: {'its backends differ' if found else 'no address of this family'}")
    return found[0].allowed, found[0].reason


def questions(engine: Engine, step: Step, cluster: CaseCluster) -> Iterator[tuple[Cell | None, Question]]:
    """What a step asks: each listed cell, then every other pod-to-pod cell when the step has a default."""
    listed: set[tuple[bool, Question]] = set()
    names = pod_names(engine)
    for cell in step.cells:
        given = cell.of(names)
        if not given:
            raise CaseError(f"{cell.src} → {cell.dst}: no pods are called so")
        for one in given:
            for question in _expand(engine, one, cluster):
                if one is cell or (cell.established, question) not in listed:
                    listed.add((cell.established, question))
                    yield one, question
    if step.default is None:
        return
    for cell in Cell("*", "*", step.default).of(names):
        for question in _expand(engine, cell, cluster):
            if (False, question) not in listed:
                yield None, question


def pod_names(engine: Engine) -> list[str]:
    """`ns/name` of every pod."""
    return [f"{p.namespace}/{p.name}" for p in engine.universe.pods]


def _expand(engine: Engine, cell: Cell, cluster: CaseCluster) -> Iterator[Question]:
    src, dst = cluster.expand(cell.src), cluster.expand(cell.dst)
    for port, protocol in _services(engine, dst, cell):
        for family in (4, 6):
            if cell.family in (None, family) and _has(engine, src, dst, port, protocol, family):
                yield Question(src, dst, port, protocol, family)


def _has(engine: Engine, src: str, dst: str, port: int, protocol: str, family: int) -> bool:
    try:
        targets = resolve(engine, dst, port, protocol)
        sources = resolve(engine, src, literal=True)
    except UnknownTargetError as error:
        raise CaseError(str(error)) from None
    return any(family in engine.ends.families(a.end, b.end) for a in sources for b in targets)


def _services(engine: Engine, dst: str, cell: Cell) -> list[Service]:
    """The ports and protocols of a cell: what the target serves, narrowed by what the cell gives."""
    if cell.protocol == "ICMP":
        return [(0, "ICMP")]
    served = _served(engine, dst)
    chosen = [s for s in served if cell.port in (None, s[0]) and cell.protocol in (None, s[1])]
    if chosen:
        return chosen
    ports = [cell.port] if cell.port else sorted({p for p, _ in served}) or list(DEFAULT_PORTS)
    return [(port, protocol) for port in ports for protocol in ([cell.protocol] if cell.protocol else PROTOCOLS)]


def _served(engine: Engine, dst: str) -> list[Service]:
    kind, _, name = dst.partition(":")
    if kind == "svc":
        for service in engine.universe.cluster.services:
            if f"{service.namespace}/{service.name}" == name:
                return [(p.port, p.protocol) for p in service.ports]
    try:
        targets = resolve(engine, dst)
    except UnknownTargetError:
        return []
    pod = engine.universe.pods[targets[0].end.pod] if targets[0].end.pod is not None else None
    return [(p.port, p.protocol) for p in pod.ports] if pod else []


def _established(before: Engine | None, question: Question, now: bool, reason: str) -> tuple[bool, str]:
    """A connection opened in the step before lives on only if it could be opened then and may be now."""
    if before is None:
        raise CaseError("established: there is no step before the first")
    opened, why = ask(before, question)
    return (now, reason) if opened else (False, f"never opened: {why}")


def summary(rows: list[Row]) -> Mapping[str, tuple[int, int]]:
    """Per case: (cells, cells that failed), in order."""
    out: dict[str, tuple[int, int]] = {}
    for row in rows:
        cells, failed = out.get(row.case, (0, 0))
        out[row.case] = cells + 1, failed + (not row.passed)
    return out
