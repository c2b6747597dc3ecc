from __future__ import annotations

from agent.factories_dns import answer, query, sighting
from eastwest.agent.dns.names import Names, Provenance
from eastwest.agent.dns.transactions import Transactions
from eastwest.model.flow import ip_bytes

SECOND = 1_000_000_000


def test_a_question_and_its_answer_are_one_lookup() -> None:
    transactions = Transactions()
    assert transactions.see(sighting(query(), now_ns=1_000)) is None
    got = transactions.see(
        sighting(
            answer("shop.example", ("shop.example", "A", "192.0.2.1")), now_ns=251_000, to_server=False, from_pod=False
        )
    )
    assert got is not None
    assert (got.name, got.type, got.rcode, got.latency_ns, got.from_pod, got.retries) == (
        "shop.example", 1, 0, 250_000, True, 0,
    )  # fmt: skip
    assert (got.client, got.server, got.server_port) == (ip_bytes("10.1.0.9"), ip_bytes("10.96.0.10"), 53)
    assert transactions.waiting == 0


def test_the_server_s_own_view_is_told_apart() -> None:
    transactions = Transactions()
    transactions.see(sighting(query(), from_pod=False))
    got = transactions.see(sighting(answer(), to_server=False, from_pod=True))
    assert got is not None
    assert got.from_pod is False
    assert got.client == ip_bytes("10.1.0.9")


def test_a_and_aaaa_from_one_port_are_two_lookups() -> None:
    transactions = Transactions()
    transactions.see(sighting(query(qtype="A", ident=1)))
    transactions.see(sighting(query(qtype="AAAA", ident=2)))
    second = transactions.see(sighting(answer(qtype="AAAA", ident=2), to_server=False))
    first = transactions.see(sighting(answer(qtype="A", ident=1), to_server=False))
    assert first is not None
    assert second is not None
    assert (first.type, second.type) == (1, 28)


def test_a_repeated_question_is_a_retry_and_its_wait_starts_with_the_first() -> None:
    transactions = Transactions()
    transactions.see(sighting(query(), now_ns=0))
    transactions.see(sighting(query(), now_ns=2 * SECOND))
    got = transactions.see(sighting(answer(), now_ns=3 * SECOND, to_server=False))
    assert got is not None
    assert (got.retries, got.latency_ns) == (1, 3 * SECOND)


def test_no_answer_is_a_lookup_without_code() -> None:
    transactions = Transactions()
    transactions.see(sighting(query(), now_ns=0))
    assert list(transactions.expire(4 * SECOND)) == []
    (got,) = transactions.expire(5 * SECOND)
    assert (got.name, got.rcode, got.latency_ns) == ("shop.example", None, None)


def test_an_answer_to_another_question_does_not_match() -> None:
    transactions = Transactions()
    transactions.see(sighting(query("good.example")))
    got = transactions.see(sighting(answer("evil.example"), to_server=False))
    assert got is not None
    assert got.name == "evil.example"
    assert got.latency_ns is None
    assert (transactions.waiting, transactions.counts.unmatched) == (1, 1)


def test_memory_is_bounded_and_what_is_given_up_is_counted() -> None:
    transactions = Transactions(max_waiting=10)
    for ident in range(25):
        transactions.see(sighting(query(ident=ident)))
    assert (transactions.waiting, transactions.counts.forgotten) == (10, 15)


def test_rubbish_is_counted() -> None:
    transactions = Transactions()
    assert transactions.see(sighting(b"not dns")) is None
    assert transactions.counts.malformed == 1


def looked_up(name: str, address: str, *, ifindex: int = 5, now_ns: int = 0, names: Names) -> None:
    transactions = Transactions()
    transactions.see(sighting(query(name), now_ns=now_ns, ifindex=ifindex))
    records = (name, "CNAME", "edge.cdn.example"), ("edge.cdn.example", "A", address)
    got = transactions.see(sighting(answer(name, *records), now_ns=now_ns, ifindex=ifindex, to_server=False))
    assert got is not None
    names.learn(got)


def test_an_address_is_called_what_was_asked_not_its_alias() -> None:
    names = Names()
    looked_up("www.shop.example", "192.0.2.1", names=names)
    named = names.find(5, ip_bytes("192.0.2.1"), 10 * SECOND)
    assert named is not None
    assert (named.name, named.age_ns, named.fresh, named.provenance) == (
        "www.shop.example", 10 * SECOND, True, Provenance.POD,
    )  # fmt: skip
    later = names.find(5, ip_bytes("192.0.2.1"), 31 * SECOND)
    assert later is not None
    assert later.fresh is False


def test_a_pod_s_own_question_decides_before_another_s() -> None:
    names = Names()
    looked_up("mine.example", "192.0.2.1", ifindex=5, names=names)
    looked_up("yours.example", "192.0.2.1", ifindex=6, now_ns=1, names=names)
    address = ip_bytes("192.0.2.1")
    found = [names.find(ifindex, address, 2) for ifindex in (5, 6, 7)]
    assert [(n.name, n.provenance.value) for n in found if n] == [
        ("mine.example", "dns_pod"), ("yours.example", "dns_pod"), ("yours.example", "dns_node"),
    ]  # fmt: skip
    names.forget_pod(5)
    after = names.find(5, address, 2)
    assert after is not None
    assert after.name == "yours.example"


def test_the_table_is_bounded() -> None:
    names = Names(max_entries=4)
    for i in range(10):
        looked_up(f"n{i}.example", f"192.0.2.{i}", names=names)
    assert len(names) == 4
    assert names.evicted == 12
    assert names.find(5, ip_bytes("192.0.2.0"), 0) is None
