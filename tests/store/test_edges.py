"""Both ends report the same traffic; the store makes one edge of it, whatever is missing."""

from __future__ import annotations

from typing import Any

import pytest

from eastwest.store.parts import cut
from eastwest.store.predicates import EVERYTHING, Compare, Operator, Predicate
from eastwest.store.protocol import Store
from eastwest.store.questions import Edges, Flows, Range
from store.factories_flows import HOUR, MINUTE, NOON, SECOND, internet, pod, record, table, unknown

UI, CARTS = pod("src", "shop", "ui", ip="10.0.0.1"), pod("dst", "shop", "carts", ip="10.0.1.1", node="node-b")
VIA = {"service": "carts", "service_namespace": "shop", "service_ip": "10.96.0.1", "service_port": 80}
CLIENT = record(UI, CARTS, **VIA)
SERVER = record(UI, CARTS, reporter="server", node="node-b", bytes_forward=101, bytes_reverse=1001)
# Both ranges hold the records; the wide one reads the sums per minute.
NARROW, WIDE = Range(NOON - MINUTE, NOON + MINUTE), Range(NOON - HOUR, NOON + HOUR)


@pytest.fixture(params=[NARROW, WIDE], ids=["records", "minutes"])
def range_(request: pytest.FixtureRequest) -> Any:
    return request.param


def edges(store: Store, range_: Range, *rows: dict[str, Any], where: Predicate = EVERYTHING) -> list[dict[str, Any]]:
    for part in cut("b", table(*rows), []):
        store.insert(part)
    flows = store.ask(Flows(range_, where)).to_pylist()
    summed = store.ask(Edges(range_, "pod", where)).to_pylist()
    assert sum(e["connections"] for e in summed) == sum(f["connections"] for f in flows)
    return flows


def unknown_roles(local: str, local_port: int, peer: str, peer_port: int, **values: Any) -> dict[str, Any]:
    """What an agent says that came too late to see who began: the local pod is written as the source."""
    ends = {"10.0.0.1": "ui", "10.0.1.1": "carts"}
    return record(
        pod("src", "shop", ends[local], ip=local),
        pod("dst", "shop", ends[peer], ip=peer),
        reporter="unknown",
        role_source="unknown",
        src_port=local_port,
        dst_port=peer_port,
        **values,
    )


def test_a_mirrored_report_is_not_counted_twice(store: Store, range_: Range) -> None:
    (edge,) = edges(store, range_, CLIENT, SERVER)
    assert (edge["reporter"], edge["connections"], edge["bytes_forward"], edge["bytes_reverse"]) == (
        "client",
        1,
        100,
        1000,
    )


def test_the_service_comes_from_the_client(store: Store, range_: Range) -> None:
    (edge,) = edges(store, range_, SERVER, CLIENT)
    assert (edge["service_namespace"], edge["service"], edge["service_port"]) == ("shop", "carts", 80)


@pytest.mark.parametrize(("report", "reporter"), [(CLIENT, "client"), (SERVER, "server")])
def test_one_report_is_enough(store: Store, range_: Range, report: dict[str, Any], reporter: str) -> None:
    (edge,) = edges(store, range_, report)
    assert (edge["reporter"], edge["src_pod"], edge["dst_pod"]) == (reporter, "ui-1", "carts-1")


def test_reports_of_one_end_add_up(store: Store, range_: Range) -> None:
    later = CLIENT | {"window_start_ns": NOON + 5 * SECOND, "last_seen_ns": NOON + 9 * SECOND}
    (edge,) = edges(store, range_, CLIENT, later, SERVER)
    assert (edge["connections"], edge["bytes_forward"], edge["first_seen_ns"], edge["last_seen_ns"]) == (
        2, 200, NOON + SECOND, NOON + 9 * SECOND,
    )  # fmt: skip


def test_direct_and_through_the_service_are_one_edge_with_the_service(store: Store, range_: Range) -> None:
    (edge,) = edges(store, range_, CLIENT, record(UI, CARTS, bytes_forward=5000))
    assert (edge["bytes_forward"], edge["service"]) == (5100, "carts")


def test_an_edge_was_last_seen_when_either_end_saw_it(store: Store, range_: Range) -> None:
    """What ingress denies is seen by the server long after the client's report last knew the backend."""
    later = {"window_start_ns": NOON + 30 * SECOND, "first_seen_ns": NOON - SECOND, "last_seen_ns": NOON + 34 * SECOND}
    (edge,) = edges(store, range_, CLIENT, SERVER | later)
    assert (edge["reporter"], edge["first_seen_ns"], edge["last_seen_ns"]) == (
        "client",
        NOON - SECOND,
        NOON + 34 * SECOND,
    )


def test_ports_protocols_and_clusters_stay_apart(store: Store, range_: Range) -> None:
    found = edges(
        store, range_, CLIENT, CLIENT | {"dst_port": 9090}, CLIENT | {"protocol": 17}, CLIENT | {"cluster": "c2"}
    )
    assert len(found) == 4


def test_a_reused_address_is_two_edges(store: Store, range_: Range) -> None:
    heir = pod("src", "shop", "orders", ip="10.0.0.1")
    found = edges(store, range_, CLIENT, record(heir, CARTS))
    assert {e["src_pod"] for e in found} == {"ui-1", "orders-1"}


def test_a_far_end_without_a_name_yields_to_the_end_that_knows_itself(store: Store, range_: Range) -> None:
    blind_server = record(unknown("src", "10.0.0.1"), CARTS, reporter="server")
    blind_client = record(UI, unknown("dst", "10.0.1.1"), dst_port=9090)
    knowing_server = record(UI, CARTS, reporter="server", dst_port=9090)
    found = edges(store, range_, CLIENT, blind_server, blind_client, knowing_server)
    assert {(e["src_pod"], e["dst_pod"], e["dst_port"], e["reporter"]) for e in found} == {
        ("ui-1", "carts-1", 8080, "client"),
        ("ui-1", "carts-1", 9090, "server"),
    }


def test_a_local_pod_without_a_name_is_kept(store: Store, range_: Range) -> None:
    stranger = record(unknown("src", "10.0.0.1"), CARTS)
    assert len(edges(store, range_, CLIENT, stranger)) == 2


def test_late_agents_agree_with_those_that_saw_the_start(store: Store, range_: Range) -> None:
    """The server's port is the higher one: only the client's report can tell."""
    known = CLIENT | {"dst_port": 50051}
    late = unknown_roles("10.0.1.1", 50051, "10.0.0.1", 34567)
    same_end = unknown_roles("10.0.0.1", 34567, "10.0.1.1", 50051)
    (edge,) = edges(store, range_, known, late, same_end)
    assert (edge["src_pod"], edge["dst_port"], edge["connections"]) == ("ui-1", 50051, 1)


def test_two_late_agents_make_one_edge_with_the_lower_port_as_the_server(store: Store, range_: Range) -> None:
    from_client = unknown_roles("10.0.0.1", 34567, "10.0.1.1", 8080, bytes_forward=10, bytes_reverse=20)
    from_server = unknown_roles("10.0.1.1", 8080, "10.0.0.1", 34567, bytes_forward=20, bytes_reverse=10)
    (edge,) = edges(store, range_, from_client, from_server)
    assert (edge["src_pod"], edge["dst_pod"], edge["dst_port"], edge["reporter"]) == (
        "ui-1",
        "carts-1",
        8080,
        "unknown",
    )
    assert (edge["bytes_forward"], edge["bytes_reverse"]) == (10, 20)


def test_a_late_servers_report_alone_is_turned(store: Store, range_: Range) -> None:
    (edge,) = edges(
        store, range_, unknown_roles("10.0.1.1", 8080, "10.0.0.1", 34567, bytes_forward=20, packets_reverse=9)
    )
    assert (edge["src_ip"][-4:], edge["dst_port"], edge["bytes_reverse"], edge["packets_forward"]) == (
        b"\n\0\0\1",
        8080,
        20,
        9,
    )


def test_protocols_without_ports_meet_too(store: Store, range_: Range) -> None:
    one = unknown_roles("10.0.0.1", 0, "10.0.1.1", 0, protocol=1) | {"src_port": None}
    other = unknown_roles("10.0.1.1", 0, "10.0.0.1", 0, protocol=1) | {"src_port": None}
    assert len(edges(store, range_, one, other)) == 1


def test_conditions_are_about_edges_not_reports(store: Store, range_: Range) -> None:
    """The server's report never shows where the client's is taken, and a name missing from one report hides nothing."""
    blind = record(unknown("src", "10.0.0.1"), CARTS, reporter="server")
    for part in cut("b", table(CLIENT, SERVER, blind), []):
        store.insert(part)

    def count(column: str, operator: Operator, value: str | int) -> int:
        return store.ask(Flows(range_, Compare(column, operator, value))).num_rows

    assert count("reporter", Operator.EQ, "server") == 0
    assert count("src_kind", Operator.EQ, "unknown") == 0
    assert count("src_namespace", Operator.NE, "shop") == 0
    assert count("service", Operator.EQ, "carts") == 1
    assert count("bytes_forward", Operator.GT, 100) == 0
    assert count("bytes_forward", Operator.GE, 100) == 1
    assert count("dst_workload", Operator.EQ, "carts") == 1


HEALTH = ("retransmits_established", "resets", "rtt_count", "rtt_min_us", "drops")


def health(edge: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(edge[name] for name in HEALTH)


def test_unknown_health_stays_unknown_and_known_adds_up(store: Store, range_: Range) -> None:
    """Also over windows and minutes: null and null is null, null and 5 is 5, 0 is 0."""
    known = {"retransmits_established": 2, "resets": 0, "rtt_count": 5, "rtt_min_us": 70, "drops": 0}
    later, other = NOON + 10 * SECOND, pod("src", "shop", "cart", ip="10.0.0.9")
    rows = [
        CLIENT,
        record(UI, CARTS, at=later, **VIA, **known),
        record(UI, CARTS, at=later + 10 * SECOND, **VIA, **known | {"rtt_min_us": 40}),
        record(other, CARTS),
        record(other, CARTS, at=later),
    ]
    found = {edge["src_workload"]: edge for edge in edges(store, range_, *rows)}
    assert health(found["ui"]) == (4, 0, 10, 40, 0)
    assert health(found["cart"]) == (None,) * 5
    answer = {row["source_name"]: row for row in store.ask(Edges(range_, "workload")).to_pylist()}
    assert health(answer["ui"]) == (4, 0, 10, 40, 0)
    assert health(answer["cart"]) == (None,) * 5


def test_what_each_end_sent_again_adds_up_and_the_rest_is_the_reporters(store: Store, range_: Range) -> None:
    client = record(UI, CARTS, **VIA, retransmits_established=2, resets=1, rtt_count=5, rtt_min_us=70, drops=1)
    server = record(
        UI, CARTS, reporter="server", retransmits_established=3, resets=1, rtt_count=7, rtt_min_us=9, drops=2
    )
    (edge,) = edges(store, range_, client, server)
    assert health(edge) == (5, 1, 5, 70, 3)


def test_a_drop_where_nothing_else_was_seen_is_on_the_edge(store: Store, range_: Range) -> None:
    """In a window of its own, at either end: it adds no bytes, and does not choose the report."""
    silent = dict.fromkeys(
        (f"{what}_{way}" for what in ("bytes", "packets", "segments") for way in ("forward", "reverse")), 0
    ) | {"connections": 0, "connections_established": 0, "drops": 3}
    rows = [
        record(UI, CARTS, **VIA, drops=0),
        record(UI, CARTS, reporter="server", **silent),
        record(UI, CARTS, at=NOON + 10 * SECOND, **VIA, **silent),
        record(pod("src", "shop", "cart", ip="10.0.0.9"), CARTS, **silent),
    ]
    found = {edge["src_workload"]: edge for edge in edges(store, range_, *rows)}
    ui, cart = found["ui"], found["cart"]
    assert (ui["drops"], ui["bytes_forward"], ui["connections"]) == (
        6,
        rows[0]["bytes_forward"],
        rows[0]["connections"],
    )
    assert (ui["reporter"], ui["service"]) == ("client", "carts")
    assert (cart["drops"], cart["bytes_forward"], cart["connections"]) == (3, 0, 0)


def test_a_name_learned_later_is_kept(store: Store, range_: Range) -> None:
    web = internet("dst", "93.184.216.34")
    rows = [
        record(UI, web),
        record(UI, web, at=NOON + 5 * SECOND, dst_dns_name="example.org"),
        record(UI, web, at=NOON + 10 * SECOND),
    ]
    (edge,) = edges(store, range_, *rows)
    assert edge["dst_dns_name"] == "example.org"


def test_pods_behind_one_address_abroad_are_edges_of_their_own(store: Store, range_: Range) -> None:
    other = pod("src", "shop", "ui", 2, ip="10.0.0.2")
    web = internet("dst", "93.184.216.34", "example.org")
    assert len(edges(store, range_, record(UI, web), record(other, web))) == 2


def test_wire_bytes_add_the_headers_of_segments(store: Store, range_: Range) -> None:
    (edge,) = edges(
        store, range_, record(UI, CARTS, bytes_forward=10_052, packets_forward=1, segments_forward=7, packets_reverse=3)
    )
    assert edge["wire_bytes_forward"] == 10_052 + 6 * (20 + 32) + 7 * 14
    assert edge["wire_bytes_reverse"] == 1000 + 3 * 14


VERDICT = ("verdict", "policy_allowed", "policy_denied", "policy_would_deny", "egress_denied_by", "ingress_denied_by")
WEB_EGRESS, CARTS_INGRESS = "NetworkPolicy shop/web egress isolation", "NetworkPolicy shop/carts ingress isolation"


def verdict(edge: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(edge[name] for name in VERDICT)


def at_client(**values: Any) -> dict[str, Any]:
    return CLIENT | values


def at_server(**values: Any) -> dict[str, Any]:
    return SERVER | values


def test_nobody_decided_is_not_allowed(store: Store, range_: Range) -> None:
    (edge,) = edges(store, range_, CLIENT, SERVER)
    assert verdict(edge) == (None,) * 6


def test_decided_for_no_packet_is_known_zero_and_no_verdict(store: Store, range_: Range) -> None:
    zeros = {"policy_allowed": 0, "policy_denied": 0, "policy_would_deny": 0}
    (edge,) = edges(store, range_, at_client(**zeros))
    assert verdict(edge) == (None, 0, 0, 0, None, None)


def test_what_egress_let_pass_and_ingress_denied_is_denied_and_both_ends_count(store: Store, range_: Range) -> None:
    client = at_client(
        policy_allowed=5, policy_denied=0, policy_would_deny=0, allowed_by="NetworkPolicy shop/ui egress[0]"
    )
    server = at_server(policy_allowed=0, policy_denied=5, policy_would_deny=0, denied_by=CARTS_INGRESS)
    (edge,) = edges(store, range_, client, server)
    assert verdict(edge) == ("denied", 5, 5, 0, None, CARTS_INGRESS)
    assert (edge["egress_allowed_by"], edge["ingress_allowed_by"]) == ("NetworkPolicy shop/ui egress[0]", None)


def test_what_egress_denied_is_told_by_the_client_alone(store: Store, range_: Range) -> None:
    (edge,) = edges(store, range_, at_client(policy_allowed=0, policy_denied=3, denied_by=WEB_EGRESS))
    assert verdict(edge) == ("denied", 0, 3, None, WEB_EGRESS, None)


def test_denies_of_both_ends_add_up_and_both_reasons_stay(store: Store, range_: Range) -> None:
    later = NOON + 10 * SECOND
    rows = [
        at_client(policy_allowed=4, policy_denied=2, denied_by=WEB_EGRESS),
        at_server(policy_allowed=3, policy_denied=1, denied_by=CARTS_INGRESS, window_start_ns=later),
    ]
    (edge,) = edges(store, range_, *rows)
    assert verdict(edge) == ("partly", 7, 3, None, WEB_EGRESS, CARTS_INGRESS)


def test_audit_says_would_deny_and_a_rule_says_allowed(store: Store, range_: Range) -> None:
    audited = at_server(policy_allowed=0, policy_denied=0, policy_would_deny=9, denied_by=CARTS_INGRESS)
    allowed = at_client(dst_port=9090, policy_allowed=9, policy_denied=0, policy_would_deny=0)
    found = {e["dst_port"]: verdict(e)[0] for e in edges(store, range_, audited, allowed, CLIENT)}
    assert found == {8080: "would_deny", 9090: "allowed"}


def test_a_later_reason_takes_the_place_of_none_and_is_not_lost_again(store: Store, range_: Range) -> None:
    rows = [
        at_client(policy_denied=1, denied_by=WEB_EGRESS),
        at_client(policy_denied=0, window_start_ns=NOON + 10 * SECOND),
    ]
    (edge,) = edges(store, range_, *rows)
    assert edge["egress_denied_by"] == WEB_EGRESS


def test_edges_of_many_pods_say_what_is_true_of_all(store: Store, range_: Range) -> None:
    other = pod("src", "shop", "ui", 2, ip="10.0.0.2")
    blocked = {"policy_allowed": 0, "policy_denied": 2, "denied_by": WEB_EGRESS}
    for part in cut("b", table(at_client(**blocked), record(other, CARTS, policy_allowed=7, policy_denied=0)), []):
        store.insert(part)
    (edge,) = store.ask(Edges(range_, "workload")).to_pylist()
    assert verdict(edge) == ("partly", 7, 2, None, WEB_EGRESS, None)
    pods = {e["source_name"]: e["verdict"] for e in store.ask(Edges(range_, "pod")).to_pylist()}
    assert pods == {"ui-1": "denied", "ui-2": "allowed"}
    denied = store.ask(Edges(range_, "workload", Compare("verdict", Operator.EQ, "denied"))).to_pylist()
    assert [verdict(e)[0] for e in denied] == ["denied"]


def test_a_server_that_could_not_tell_who_began_speaks_of_ingress(store: Store, range_: Range) -> None:
    late = unknown_roles("10.0.1.1", 8080, "10.0.0.1", 34567, policy_denied=4, denied_by=CARTS_INGRESS)
    (edge,) = edges(store, range_, late)
    assert (edge["src_pod"], edge["verdict"], edge["egress_denied_by"], edge["ingress_denied_by"]) == (
        "ui-1", "denied", None, CARTS_INGRESS,
    )  # fmt: skip
