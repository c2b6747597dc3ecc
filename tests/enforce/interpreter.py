"""A node's plan read as docs/enforcement.md describes it, one packet at a time: slow, short, and sharing nothing with
`eastwest.enforce`. What the kernel does with the same arrays is tested against real packets elsewhere."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from eastwest.model.flow import Direction, ip_bytes
from eastwest.model.plan import OWN_NODE, Mode, NodePlan, Reason, Ruling

WITH_PORTS = (6, 17, 132)
BY_ITSELF = Reason("kernel", Direction.INGRESS, Ruling.ALLOW)


@dataclass(frozen=True)
class Answer:
    mode: Mode
    ruling: Ruling
    reason: Reason


class Interpreter:
    def __init__(self, plan: NodePlan) -> None:
        self.plan = plan
        self.pods = {(p.namespace, p.name): p for p in plan.pods}
        self.prefixes: dict[int, dict[int, tuple[int, int]]] = {}
        for row in plan.identities:
            length = int(row["length"])
            bits = int.from_bytes(row["address"].tobytes(), "big") >> (128 - length)
            found = self.prefixes.setdefault(length, {})
            assert bits not in found, "a prefix appears twice"
            found[bits] = int(row["identity"]), int(row["kind"])
        self.cells = {(int(c["table"]), int(c["identity"])): int(c["row"]) for c in plan.cells}
        assert len(self.cells) == len(plan.cells), "a table has two rows for one identity"
        self.rows: dict[int, dict[tuple[int, int, int], tuple[int, int]]] = {}
        for p in plan.ports:
            row = self.rows.setdefault(int(p["row"]), {})
            key = int(p["length"]), int(p["protocol"]), int(p["port"])
            assert key not in row, "a prefix of ports appears twice"
            row[key] = int(p["ruling"]), int(p["reason"])

    def identity(self, address: str) -> tuple[int, int]:
        """(identity, kind): longest prefix."""
        value = int.from_bytes(ip_bytes(address), "big")
        for length in sorted(self.prefixes, reverse=True):
            found = self.prefixes[length].get(value >> (128 - length))
            if found is not None:
                return found
        raise AssertionError(f"no identity covers {address}")

    def ports(self, row: int, protocol: int, port: int) -> tuple[int, int]:
        """(ruling, reason) of a row: longest prefix."""
        entries = self.rows[row]
        if protocol in WITH_PORTS:
            for bits in range(16, -1, -1):
                found = entries.get((8 + bits, protocol, port >> (16 - bits) << (16 - bits)))
                if found is not None:
                    return found
        elif (8, 0, 0) in entries:
            return entries[8, 0, 0]
        return entries[0, 0, 0]

    def decide(self, pod: tuple[str, str], direction: Direction, peer: str, protocol: int, port: int) -> Answer:
        subject = self.pods[pod]
        side = subject.ingress if direction is Direction.INGRESS else subject.egress
        if side.mode is Mode.OFF:
            return Answer(Mode.OFF, Ruling.NONE, BY_ITSELF)
        identity, _ = self.identity(peer)
        if identity == OWN_NODE or ipaddress.ip_address(peer) in map(ipaddress.ip_address, subject.addresses):
            return Answer(side.mode, Ruling.ALLOW, BY_ITSELF)
        row = self.cells.get((side.table, identity), side.row)
        ruling, reason = self.ports(row, protocol, port)
        return Answer(side.mode, Ruling(ruling), self.plan.reasons[reason])
