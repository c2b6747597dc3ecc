"""Numbers for reasons. A policy's rules in one direction have a block of numbers, so that a hundred thousand rules cost
no more than their policies; all other reasons have a number each."""

from __future__ import annotations

from collections.abc import Iterable

from eastwest.enforce.numbering import Book
from eastwest.enforce.reasons import of_rule
from eastwest.model.plan import Reason
from eastwest.policy.rules import DirectedPolicy, Rule

Block = tuple[str, str, str, int]
"""(tier, policy, direction, number of rules)."""


class ReasonBook(Book[Block | Reason]):
    """As `Book`. What a number stands for is that of now: a rule that got another action keeps its number."""

    def __init__(self) -> None:
        super().__init__()
        self._rule_at: dict[int, Rule] = {}

    def number_rules(self, policies: Iterable[DirectedPolicy]) -> dict[Rule, int]:
        """The number of every rule."""
        self._rule_at, out = {}, dict[Rule, int]()
        for policy in policies:
            size = len(policy.rules)
            if size:
                key = (str(policy.tier), policy.policy, str(policy.direction), size)
                first = self.number(key, size)
                out.update(zip(policy.rules, range(first, first + size), strict=True))
                self._rule_at.update(zip(range(first, first + size), policy.rules, strict=True))
        return out

    def reason(self, number: int) -> Reason:
        """What a number that was asked for since `begin` stands for."""
        rule = self._rule_at.get(number)
        if rule is not None:
            return of_rule(rule)
        key = self.key(number)
        assert isinstance(key, Reason)
        return key
