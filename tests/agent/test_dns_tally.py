from __future__ import annotations

from agent.factories_dns import answer, query, sighting
from eastwest.agent.dns.tally import OTHER, DnsTally
from eastwest.agent.dns.transactions import Lookup
from eastwest.agent.dns.watch import DnsWatch
from eastwest.model.flow import ip_bytes

SECOND = 1_000_000_000


def test_a_window_of_questions_by_pod_and_outcome() -> None:
    watch = DnsWatch()
    for ident in range(3):
        watch.see(
            [sighting(query(ident=ident), now_ns=0), sighting(answer(ident=ident), now_ns=50_000, to_server=False)]
        )
    watch.see([sighting(query("no.example", ident=9), now_ns=0), sighting(answer("no.example", rcode=3, ident=9), now_ns=70_000, to_server=False)])  # fmt: skip
    watch.see([sighting(query("mute.example", ident=10), now_ns=0)])
    watch.see([sighting(query(ident=11), from_pod=False), sighting(answer(ident=11), to_server=False, from_pod=True)])
    window = watch.close_window(6 * SECOND)
    assert {(a.name, a.outcome, a.from_pod): amount.lookups for a, amount in window} == {
        ("shop.example", "NOERROR", True): 3,
        ("no.example", "NXDOMAIN", True): 1,
        ("mute.example", "no_answer", True): 1,
        ("shop.example", "NOERROR", False): 1,
    }
    pods = window.by_pod()
    assert {key: amount.lookups for key, amount in pods.items()} == {
        (5, "NOERROR"): 3, (5, "NXDOMAIN"): 1, (5, "no_answer"): 1,
    }  # fmt: skip
    fine = pods[5, "NOERROR"]
    assert (fine.latency_count, fine.latency_sum_us, fine.latency_max_us, fine.histogram[1]) == (3, 150, 50, 3)
    assert not list(watch.close_window(7 * SECOND))


def test_beyond_the_limit_the_names_go_and_the_counts_stay() -> None:
    tally = DnsTally(max_names=2)
    for i in range(10):
        tally.add(Lookup(0, 5, True, b"", ip_bytes("10.96.0.10"), 53, False, f"n{i}.example", 1, 0, 1000, 0, False))
    assert sum(amount.lookups for _, amount in tally) == 10
    assert {asked.name: amount.lookups for asked, amount in tally} == {"n0.example": 1, "n1.example": 1, OTHER: 8}
    assert tally.folded == 8
