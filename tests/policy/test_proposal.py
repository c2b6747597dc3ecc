"""What the console shows of a workload: its learning state in words, and what changes for it."""

from __future__ import annotations

import pytest

from eastwest.model.flow import Direction, Workload
from eastwest.policy.diff import Difference
from eastwest.policy.generate.report import Watch, WorkloadReport
from eastwest.policy.ports import ports_of
from eastwest.policy.proposal import changes, learning, propose
from policy.factories_evidence import Shop

UI, ORDERS = Workload("shop", "Deployment", "ui"), Workload("shop", "Deployment", "orders")


@pytest.mark.parametrize(
    ("watch", "quiet", "never", "state", "words"),
    [
        (Watch(60, 1), (), False, "ready", "Both directions were seen"),
        (Watch(60, 1), (Direction.EGRESS,), False, "partial", "No egress was seen"),
        (Watch(60, 1), tuple(Direction), False, "partial", "No traffic was seen"),
        (Watch(60, 1, 0, ("node n1 is silent",)), (), False, "gaps", "node n1 is silent"),
        (Watch(), tuple(Direction), True, "not-run", "did not run"),
    ],
)
def test_the_learning_state(watch: Watch, quiet: tuple[Direction, ...], never: bool, state: str, words: str) -> None:
    found, text = learning(WorkloadReport(UI, None, watch, quiet, never))
    assert found == state
    assert words in text


def test_a_change_is_told_at_both_of_its_ends_and_equal_ones_share_a_line() -> None:
    ports = ports_of("TCP", 8080)
    found = changes([Difference("added", UI, ORDERS, ports), Difference("added", UI, "10.0.0.0/8", ports)])
    (egress,), (ingress,) = found[UI], found[ORDERS]
    assert egress.sentence(UI) == f"adds ui → orders and 10.0.0.0/8 {ports}"
    assert ingress.sentence(ORDERS) == f"adds ui → orders {ports}"
    assert ingress.direction is Direction.INGRESS


def test_many_ends_are_told_by_number() -> None:
    many = [Difference("removed", UI, f"10.0.{n}.0/24", ports_of("TCP", 80)) for n in range(7)]
    assert [line.sentence(UI) for line in changes(many)[UI]] == ["removes ui → 7 outside ranges TCP 80"]


def test_a_proposal_keeps_policies_of_other_namespaces() -> None:
    shop = Shop()
    found = propose(shop.cluster(), shop.evidence(), {})
    assert found.generated.policies == {}
    assert found.proposed.cluster.network_policies == found.current.cluster.network_policies
    assert found.differences == ()
