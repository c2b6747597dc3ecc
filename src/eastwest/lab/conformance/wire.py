"""Runs conformance cases on packets: brings the lab there, waits until it is in force, probes every cell from its source.

A cell is open on the wire when the far end answered. Silence and a refusal are both closed; silence is asked once more with a
longer patience where it contradicts, since a busy machine is silent, too. An answer needs no second question. With an
overlay (`--network vxlan`) nobody outside can address a pod, and a node reaches other nodes' pods from its tunnel's address
instead of its own: those cells are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eastwest.lab.conformance.needs import gather, is_outside, shape
from eastwest.lab.conformance.stage import Stage
from eastwest.lab.holding import Held
from eastwest.lab.runtime import Lab
from eastwest.lab.state import LabError
from eastwest.policy.conformance.case import Case, CaseError
from eastwest.policy.conformance.run import CaseRun, Parse, Question, Row
from eastwest.policy.options import Options

PATIENCE_S: Final = 0.7
SECOND_PATIENCE_S: Final = 2.5
_PARALLEL: Final = 4096

InForce = Callable[[int], None]
"""Returns when everything that was written up to a time (ns) is in force on every node. Raises what tells a person why not."""


@dataclass(frozen=True, slots=True)
class WireRow:
    """One cell on three witnesses. `wire`: whether it was open; `outcome`: reachable, refused, timeout, alive or cut."""

    row: Row
    wire: bool
    outcome: str

    @property
    def agreed(self) -> bool:
        return self.row.passed and self.wire == self.row.expected

    def to_json(self) -> dict[str, object]:
        return {**self.row.to_json(self.wire), "established": self.row.established, "outcome": self.outcome}


def in_order(cases: Sequence[Case]) -> list[Case]:
    """Cases whose pods are alike after one another, else as given: fewer pods are started again."""
    first: dict[str, int] = {}
    keys = [" ".join(sorted(shape(o) for o in case.cluster if o["kind"] == "Pod")) for case in cases]
    for number, key in enumerate(keys):
        first.setdefault(key, number)
    return [case for _, case in sorted(zip(keys, cases, strict=True), key=lambda pair: first[pair[0]])]


class WireRun:
    """All cases in one lab."""

    def __init__(
        self, lab: Lab, cases: Sequence[Case], parse: Parse, in_force: InForce, options: Options | None = None
    ) -> None:
        """Raises LabError and CaseError."""
        self.cases = in_order(cases)
        self._lab, self._parse, self._in_force, self._options = lab, parse, in_force, options
        self._stage = Stage(lab, gather(cases))

    def run(self, case: Case) -> list[WireRow]:
        """Every cell of every step. Raises CaseError."""
        held: dict[Question, Held] = {}
        rows: list[WireRow] = []
        try:
            self._stage.begin(case)
            going = CaseRun(case, self._parse, self._options, self._stage.addresses)
            for number in range(len(case.steps)):
                going.change(number)
                self._in_force(self._stage.bring(case, going.cluster))
                placed = _nodes_of_pods(going)
                rows += self._step(case, [row for row in going.rows(number) if self._can_be_tried(row, placed)], held)
                self._let_go(held)
                held = {q: self._hold(case, q) for q in going.used_again(number)}
        except LabError as error:
            raise CaseError(f"{case.file}: {case.name}: {error}") from error
        finally:
            self._let_go(held)
        return rows

    def _can_be_tried(self, row: Row, placed: Mapping[str, str | None]) -> bool:
        """Not what an overlay makes another question: a pod's address is hidden from the world, and a node that asks
        another node's pod does so from its tunnel's address, which no object of the cluster states."""
        if self._lab.state.network != "vxlan":
            return True
        src, dst = row.question.src, row.question.dst
        if src.startswith("node:"):
            return placed.get(dst, src[5:]) == src[5:]
        return not is_outside(src) or is_outside(dst)

    def _step(self, case: Case, rows: list[Row], held: dict[Question, Held]) -> list[WireRow]:
        found: dict[int, WireRow] = {}
        for number, row in enumerate(rows):
            if row.established:
                alive = held[row.question].alive()
                found[number] = WireRow(row, alive, "alive" if alive else "cut")
        fresh = [(number, row) for number, row in enumerate(rows) if not row.established]
        found |= self._probe(case, fresh, PATIENCE_S)
        silent = [(n, r.row) for n, r in found.items() if r.row.expected and r.outcome == "timeout"]
        if silent:
            found |= self._probe(case, silent, SECOND_PATIENCE_S)
        return [found[number] for number in range(len(rows))]

    def _probe(self, case: Case, rows: Sequence[tuple[int, Row]], patience_s: float) -> dict[int, WireRow]:
        def cell(q: Question) -> tuple[str, str, int, str, int]:
            return self._stage.lab_name(case, q.src), self._stage.lab_name(case, q.dst), q.port, q.protocol, q.family

        answers = self._lab.probe_many([cell(r.question) for _, r in rows], patience_s, _PARALLEL)
        return {
            number: WireRow(row, answer.reachable, answer.reason or "reachable")
            for (number, row), answer in zip(rows, answers, strict=True)
        }

    def _hold(self, case: Case, question: Question) -> Held:
        target = self._stage.lab_name(case, question.dst)
        bracketed = f"[{target}]" if target.count(":") > 1 and not target.startswith("svc:") else target
        source = self._stage.lab_name(case, question.src)
        return self._lab.hold(source, f"{bracketed}:{question.port}/{question.protocol}", question.family)

    @staticmethod
    def _let_go(held: dict[Question, Held]) -> None:
        for connection in held.values():
            connection.end()
        held.clear()


def _nodes_of_pods(going: CaseRun) -> dict[str, str | None]:
    """Pod as questions name it -> the case's name of its node; None = where the lab likes."""
    return {
        f"{o['metadata'].get('namespace', 'default')}/{o['metadata']['name']}": (o.get("spec") or {}).get("nodeName")
        for o in going.cluster.objects()
        if o["kind"] == "Pod"
    }
