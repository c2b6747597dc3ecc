"""The policy event log: one JSON line for each record of a window that was denied, would have been, or passed.

Made from records that the kernel added up, never from packets. What the rate leaves out is counted in a line of its own.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.policy.choice import LogChoice
from eastwest.agent.policy.reasons import ReasonBook
from eastwest.model.flow import ip_from_bytes, protocol_name
from eastwest.wire.batch import ColumnData, Columns, Maybe, Words

log = logging.getLogger("eastwest.agent")
_COLUMN: Final = {"denied": "policy_denied", "would_deny": "policy_would_deny", "allowed": "policy_allowed"}
_DIRECTION: Final = {"client": "egress", "server": "ingress"}
_BY: Final = {"denied": "denied_by", "would_deny": "denied_by", "allowed": "allowed_by"}


@dataclass(frozen=True, slots=True)
class PodName:
    namespace: str
    name: str


class EventLog:
    """The tick owns it. A file that cannot be written is complained about once, and never stops the agent."""

    def __init__(self, choice: LogChoice, book: ReasonBook, cluster: str, node: str) -> None:
        self._choice, self._book = choice, book
        self._fixed = {"cluster": cluster, "node": node}
        self.complaint = ""  # why the file cannot be written; empty when it can
        self.lines = 0  # written, since start
        self.left_out = 0  # by the rate, or because the file could not be written, since start

    def window(self, columns: Columns, end_ns: int, seconds: float, names: Mapping[str, PodName]) -> None:
        """Write the lines of one window of `seconds`; `names` by UID of the node's pods."""
        if self._choice.file is None:
            return
        budget = max(1, int(self._choice.rate * max(seconds, 0.001)))
        rows, verdicts, packets = self._chosen(columns, names)
        chosen = zip(rows[:budget], verdicts[:budget], packets[:budget], strict=True)
        text = [self._line(columns, row, verdict, n, end_ns, names) for row, verdict, n in chosen]
        left = len(rows) - len(text)
        if left:
            self.left_out += left
            text.append(
                json.dumps(
                    {
                        "time": _time(end_ns),
                        **self._fixed,
                        "verdict": "remainder",
                        "lines": left,
                        "packets": int(sum(packets[budget:])),
                    }
                )
            )
        if text:
            self._write(text)

    def _chosen(self, columns: Columns, names: Mapping[str, PodName]) -> tuple[list[int], list[str], list[int]]:
        """(rows, verdicts, packets), denied ones first, the most packets first."""
        wanted = self._wanted_rows(columns, names)
        rows: list[int] = []
        verdicts: list[str] = []
        packets: list[int] = []
        for verdict, column in _COLUMN.items():
            if verdict == "allowed" and not self._choice.allowed:
                continue
            amount = np.where(wanted, known(columns[column]), 0)
            at = np.flatnonzero(amount)
            at = at[np.argsort(amount[at], kind="stable")[::-1]]
            rows += at.tolist()
            verdicts += [verdict] * len(at)
            packets += amount[at].tolist()
        return rows, verdicts, packets

    def _wanted_rows(self, columns: Columns, names: Mapping[str, PodName]) -> NDArray[np.bool_]:
        uids = columns["pod_uid"]
        assert isinstance(uids, Words)
        if not self._choice.namespaces:
            return np.ones(len(uids.codes), np.bool_)
        inside = {uid for uid, name in names.items() if name.namespace in self._choice.namespaces}
        found: NDArray[np.bool_] = np.array([*(uid in inside for uid in uids.words), False])[uids.codes]
        return found

    def _line(
        self, columns: Columns, row: int, verdict: str, packets: int, end_ns: int, names: Mapping[str, PodName]
    ) -> str:
        uid = _word(columns["pod_uid"], row)
        name = names.get(uid) if uid is not None else None
        by = _word(columns[_BY[verdict]], row)
        reason = self._book.reason(by) if by is not None else None
        protocol = _plain(columns["protocol"])[row]
        return json.dumps(
            {
                "time": _time(end_ns),
                **self._fixed,
                "verdict": verdict,
                "direction": _DIRECTION.get(_word(columns["reporter"], row) or ""),
                "namespace": name.namespace if name else None,
                "pod": name.name if name else None,
                "pod_uid": uid,
                "src_ip": str(ip_from_bytes(_plain(columns["src_ip"])[row].tobytes())),
                "dst_ip": str(ip_from_bytes(_plain(columns["dst_ip"])[row].tobytes())),
                "dst_port": int(_plain(columns["dst_port"])[row]),
                "protocol": protocol_name(int(protocol)),
                "packets": packets,
                "by": by,
                "tier": reason.tier if reason else None,
                "policy": reason.policy if reason else None,
                "rule": reason.rule if reason else None,
                "text": reason.text or None if reason else None,
            }
        )

    def _write(self, lines: list[str]) -> None:
        text = "\n".join(lines) + "\n"
        try:
            if self._choice.file == "-":
                sys.stdout.write(text)
                sys.stdout.flush()
            else:
                with Path(str(self._choice.file)).open(
                    "a", encoding="utf-8"
                ) as file:  # again each time: it may be rotated
                    file.write(text)
            self.lines += len(lines)
            self.complaint = ""
        except OSError as error:
            self.left_out += len(lines)
            if not self.complaint:
                log.error("the policy log cannot be written, its lines are left out: %s", error)
            self.complaint = str(error)


def known(column: ColumnData) -> NDArray[Any]:
    """A measure with 0 where it is not known."""
    assert not isinstance(column, Words)
    return np.where(column.valid, column.values, 0) if isinstance(column, Maybe) else column


def _plain(column: ColumnData) -> NDArray[Any]:
    assert not isinstance(column, Words)
    return column.values if isinstance(column, Maybe) else column


def _word(column: ColumnData, row: int) -> str | None:
    assert isinstance(column, Words)
    return column.words[int(column.codes[row])]


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds")
