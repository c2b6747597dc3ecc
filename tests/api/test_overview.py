"""A range in one look, over a real server: sums as the flow table has them, lookups as the agents' books tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from api.conftest import between, manifests
from api.factories_batches import batch
from api.running import RunningServer
from api.test_answers import ask
from eastwest.model.batch import Amount, Books, HookStatus
from eastwest.wire.client import Outcome

PACKETS = Amount(1100, 5)


def deliver(server: RunningServer, node: str, rows: list[dict[str, Any]], **header: Any) -> None:
    body = batch(0, [row | {"node": node} for row in rows], node=node, **header)
    answer = server.client(node).post(body)
    assert answer.outcome is Outcome.ACKNOWLEDGED, answer


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("overview")
    with RunningServer(folder, "--manifests", str(manifests(folder / "manifests"))) as server:
        call = between("10.0.0.1", "10.0.1.1", pod_uid="uid-ui-1", retransmits_established=3, retransmits_syn=0,
                       retransmits_closing=0, resets=1, policy_allowed=5, policy_denied=0, policy_would_deny=0)  # fmt: skip
        denied = between("10.0.0.2", "10.0.1.1", pod_uid="uid-ui-2", policy_allowed=0, policy_denied=2,
                         policy_would_deny=0, denied_by="Posture egress")  # fmt: skip
        on = (HookStatus("dns", "on"),)
        asked = {"dns_NOERROR": 7, "dns_NXDOMAIN": 2, "dns_no_answer": 1, "non_ip": 4}
        deliver(server, "node-a", [call], hooks=on, books=(Books("uid-ui-1", "veth1", PACKETS, PACKETS, {}, asked),))
        books = (
            Books("uid-ui-2", "veth2", PACKETS, PACKETS, {}, {"dns_SERVFAIL": 4}),
            Books("uid-gone", "veth3", Amount(0, 0), Amount(0, 0), {}, {"dns_NOERROR": 1}),
        )
        deliver(server, "node-b", [denied], hooks=on, books=books)
        yield server


def test_sums_are_those_of_the_flow_table(shop: RunningServer) -> None:
    answer = ask(shop, "/api/v1/overview")
    rows = ask(shop, "/api/v1/flows")["rows"]
    assert (answer["edges"], answer["bytes"]) == (2, sum(r["bytes_forward"] + r["bytes_reverse"] for r in rows))
    assert (answer["retransmits"], answer["resets"], answer["rtos"], answer["drops"]) == (3, 1, None, None)
    assert (answer["policy_allowed"], answer["policy_denied"], answer["denied_edges"]) == (5, 2, 1)
    assert answer["would_deny_edges"] == 0


def test_lookups_by_outcome_and_who_failed(shop: RunningServer) -> None:
    dns = ask(shop, "/api/v1/overview")["dns"]
    assert dns["outcomes"] == {"NOERROR": 8, "NXDOMAIN": 2, "SERVFAIL": 4, "no_answer": 1}
    assert (dns["lookups"], dns["errors"]) == (15, 7)
    assert [(r["namespace"], r["name"], r["kind"], r["lookups"], r["errors"]) for r in dns["rows"]] == [
        ("ui", "ui", "Deployment", 14, 7)
    ]
    assert ask(shop, "/api/v1/overview", namespace="carts")["dns"]["lookups"] == 0


def test_without_the_hook_lookups_are_unknown_not_zero(shop: RunningServer) -> None:
    long_ago = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-01T01:00:00Z"}
    answer = ask(shop, "/api/v1/overview", **long_ago)
    assert (answer["dns"]["lookups"], answer["dns"]["errors"], answer["edges"], answer["retransmits"]) == (
        None,
        None,
        0,
        None,
    )
