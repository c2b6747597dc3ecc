"""Numbers for reasons, and each reason made once: a rule keeps both from one compilation to the next."""

from __future__ import annotations

from eastwest.enforce.numbering import Book
from eastwest.enforce.reasons import of_rule
from eastwest.model.flow import Direction
from eastwest.model.plan import Reason
from eastwest.policy.decision import Tier
from eastwest.policy.rules import Rule

RuleKey = tuple[str, int, bool, int, str, str | None]
"""(policy, index, ingress, tier, action, name): all that a rule's `Reason` is made of, quick to hash."""


class ReasonBook(Book[RuleKey | Reason]):
    """As `Book`: reasons of rules by their keys, all others by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self._of_rules: dict[int, Reason] = {}
        self._kept: dict[int, Reason] = {}

    def begin(self) -> None:
        super().begin()
        self._of_rules = {}

    def keep(self) -> None:
        super().keep()
        self._kept = self._of_rules

    def number_of_rule(self, rule: Rule) -> int:
        tier = rule.tier  # not itself part of the key: hashing an enum's member is slow
        of = 0 if tier is Tier.NETWORK_POLICY else 1 if tier is Tier.ADMIN else 2
        key = (rule.policy, rule.index, rule.direction is Direction.INGRESS, of, rule.action, rule.name)
        number = self.number(key)
        if number not in self._of_rules:
            self._of_rules[number] = (self.knew(key) and self._kept.get(number)) or of_rule(rule)
        return number

    def reason(self, number: int) -> Reason:
        """What a number that was asked for since `begin` stands for."""
        found = self._of_rules.get(number)
        if found is None:
            key = self.key(number)
            assert isinstance(key, Reason)
            return key
        return found
