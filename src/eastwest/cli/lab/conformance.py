"""`eastwest lab conformance`: policy cases on real packets, in a whole product of its own: lab, server, enforcing agents."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from eastwest.cli._enforced import InForce, enforce_everything
from eastwest.cli._stack import Plan, Stack, StackError
from eastwest.cli._table import Head, View, show
from eastwest.cli.policy._input import FINDINGS, UNUSABLE, InputError
from eastwest.cli.policy.conformance import load_cases, parse_objects
from eastwest.lab.conformance.wire import WireRow, WireRun
from eastwest.lab.runtime import Lab
from eastwest.lab.state import LabError
from eastwest.policy.conformance.case import Case, CaseError
from eastwest.policy.conformance.run import Question

_SHOWN = 200
Tell = Callable[[str], None]


def run(args: argparse.Namespace) -> int:
    """Exit code 0: every cell agrees, 1: some do not, 2: something could not be run."""
    try:
        cases = []
        for case in load_cases(args.paths):
            if case.engine_only is None:
                cases.append(case)
            else:
                _say(f"not on the wire: {case.name}: {case.engine_only}")
        outcome = run_cases(cases, args.name, args.network, enforce=not args.without_enforcement, tell=_say)
    except (CaseError, InputError, LabError, StackError) as error:
        print(f"eastwest lab conformance: {error}", file=sys.stderr)
        return UNUSABLE
    if args.json:
        print(json.dumps([row.to_json() for row in outcome.rows]))
    else:
        _show(outcome)
    return UNUSABLE if outcome.broken else FINDINGS if outcome.disagreeing else 0


class Outcome:
    """Rows of all cases, and what could not be run and why."""

    def __init__(self) -> None:
        self.rows: list[WireRow] = []
        self.broken: list[str] = []
        self.seconds = 0.0

    @property
    def disagreeing(self) -> list[WireRow]:
        return [row for row in self.rows if not row.agreed]

    @property
    def summary(self) -> str:
        """One line."""
        cases = {row.row.case for row in self.rows}
        bad = {row.row.case for row in self.disagreeing}
        failed = f"{len(bad)} cases with {len(self.disagreeing)} cells that disagree" if bad else "all agree"
        broken = f", {len(self.broken)} cases could not be run" if self.broken else ""
        return f"{len(cases)} cases, {len(self.rows)} cells on the wire in {self.seconds:.0f} s: {failed}{broken}"


_HEADS = tuple(map(Head, ("CASE", "STEP", "FROM", "TO", "PORT", "IP", "ENGINE", "WIRE", "EXPECTED", "REASON")))


def _show(outcome: Outcome) -> None:
    wrong = outcome.disagreeing
    lines = list(_grouped(wrong))
    more = [f"… and {len(lines) - _SHOWN} more lines (--json has all)"] if len(lines) > _SHOWN else []
    if wrong:
        show(View("Cells that disagree", _HEADS, lines[:_SHOWN], more))
    print("".join(f"could not be run: {text}\n" for text in outcome.broken) + outcome.summary)


_Fault = tuple[str, str, str, str, str, str, str, str]


def _grouped(wrong: Sequence[WireRow]) -> Iterator[tuple[str, ...]]:
    """One line for all ports and families of a pair that went wrong in the same way."""
    groups: dict[_Fault, list[Question]] = {}
    for found in wrong:
        row, q = found.row, found.row.question
        again = " (established)" if row.established else ""
        key = (row.case, str(row.step), q.src, q.dst, _word(row.engine) + again, f"{_word(found.wire)} ({found.outcome})",
               _word(row.expected), row.reason)  # fmt: skip
        groups.setdefault(key, []).append(q)
    for key, asked in groups.items():
        ports = dict.fromkeys(q.protocol if q.protocol == "ICMP" else f"{q.port}/{q.protocol}" for q in asked)
        families = sorted({q.family for q in asked})
        yield (*key[:4], ",".join(ports), " ".join(f"IPv{f}" for f in families), *key[4:])


def _word(allowed: bool) -> str:
    return "allow" if allowed else "deny"


@dataclass(frozen=True, slots=True)
class _Place:
    """`check` raises when a part of it has died."""

    lab: Lab
    in_force: Callable[[int], None]
    check: Callable[[], None]


@contextmanager
def _enforcing(name: str, network: str, tell: Tell) -> Iterator[_Place]:
    """The whole product, every namespace in mode enforce."""
    with Stack(Plan([], name=name, network=network, listen="127.0.0.1:0", enforce=True), say=tell) as stack:
        assert stack.lab is not None
        enforce_everything(stack)
        yield _Place(stack.lab, InForce(stack), stack.check)


@contextmanager
def _plain(name: str, network: str, tell: Tell) -> Iterator[_Place]:
    """A lab where nobody enforces anything."""
    lab = Lab.up([], name, network, tell=tell)
    try:
        yield _Place(lab, lambda _: None, lambda: None)
    finally:
        lab.down()


def run_cases(
    cases: Sequence[Case], name: str, network: str = "routed", *, enforce: bool = True, tell: Tell = lambda _: None
) -> Outcome:
    """All cases in one lab. Raises LabError, StackError, CaseError when there is nothing to run them in."""
    outcome = Outcome()
    with _enforcing(name, network, tell) if enforce else _plain(name, network, tell) as place:
        wire = WireRun(place.lab, cases, parse_objects, place.in_force)
        started = time.monotonic()
        for number, case in enumerate(wire.cases):
            seconds = time.monotonic() - started
            tell(f"{_bar(number, len(cases))} {seconds:4.0f} s  {len(outcome.disagreeing)} disagree  {case.name}")
            try:
                outcome.rows += wire.run(case)
            except CaseError as error:
                outcome.broken.append(str(error))
                tell(f"could not be run: {error}")
            place.check()
        outcome.seconds = time.monotonic() - started
        tell(f"{_bar(len(cases), len(cases))} {outcome.seconds:4.0f} s")
    return outcome


def _bar(done: int, of: int) -> str:
    filled = round(20 * done / max(1, of))
    return f"[{'#' * filled}{'.' * (20 - filled)}] {done}/{of}"


def _say(text: str) -> None:
    """On a terminal the bar stays on its line."""
    end = "\n" if not sys.stderr.isatty() or not text.startswith("[") else ""
    print(f"\r\033[K{text}" if not end else text, end=end, file=sys.stderr, flush=True)
