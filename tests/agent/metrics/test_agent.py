"""Windows in, scrapes out: what rises, what is unknown, and that nobody takes data from anybody."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser

from agent.metrics.factories_metrics import START_S, Traffic, make_metrics, scrape, tick, value
from eastwest.agent.dns.tally import DnsTally
from eastwest.agent.dns.transactions import Lookup
from eastwest.agent.metrics import families
from eastwest.agent.metrics.hooks import of_dns, of_drops
from eastwest.agent.metrics.names import PodNames, parse_names
from eastwest.model.batch import HookStatus
from eastwest.runtime.openmetrics import TextFormat

IN, OUT = "eastwest_pod_ingress_bytes_total", "eastwest_pod_egress_bytes_total"


def test_increments_add_up() -> None:
    metrics = make_metrics()
    tick(metrics, 0, Traffic("a", ingress=1000, egress=200, opened=2), Traffic("b", egress=7))
    tick(metrics, 1, Traffic("a", ingress=500, opened=1, reporter="server"))
    seen = scrape(metrics)
    assert value(seen, IN, pod_uid="a") == 1500
    assert value(seen, OUT, pod_uid="a") == 200
    assert value(seen, OUT, pod_uid="b") == 7
    assert value(seen, "eastwest_pod_ingress_packets_total", pod_uid="a") == 15
    opened = "eastwest_pod_flows_opened_total"
    assert value(seen, opened, pod_uid="a", protocol="TCP", direction="egress") == 2
    assert value(seen, opened, pod_uid="a", protocol="TCP", direction="ingress") == 1
    assert value(seen, opened, pod_uid="a", protocol="UDP", direction="egress") == 0
    active = "eastwest_pod_flows_active"
    assert value(seen, active, pod_uid="a", protocol="TCP") == 1
    assert value(seen, active, pod_uid="b", protocol="TCP") == 0
    assert value(seen, "eastwest_pod_ingress_bytes_created", pod_uid="a") == START_S + 5
    assert value(seen, "eastwest_node_hook_bytes_total") == 1707


def test_protocols_without_a_name_are_other() -> None:
    metrics = make_metrics()
    tick(
        metrics,
        0,
        Traffic("a", opened=3, protocol=47),
        Traffic("a", opened=1, protocol=58),
        Traffic("a", opened=5, protocol=17),
    )
    seen = scrape(metrics)
    opened = "eastwest_pod_flows_opened_total"
    assert value(seen, opened, protocol="other", direction="egress") == 3
    assert value(seen, opened, protocol="ICMP", direction="egress") == 1
    assert value(seen, opened, protocol="UDP", direction="egress") == 5


def test_losses_have_causes_and_the_unexplained_is_visible_in_either_sign() -> None:
    metrics = make_metrics()
    tick(metrics, 0, Traffic("a", ingress=1000, lost=100, unexplained=7))
    tick(metrics, 1, Traffic("a", ingress=1000, unexplained=-7))
    seen = scrape(metrics)
    assert value(seen, "eastwest_pod_lost_bytes_total", cause="flow_map_full") == 100
    assert value(seen, "eastwest_pod_unexplained_bytes_total") == 14
    assert value(seen, "eastwest_node_unexplained_bytes_total") == 14
    assert value(seen, "eastwest_node_lost_bytes_total", cause="flow_map_full") == 100
    assert value(seen, "eastwest_node_recorded_bytes_total") == 1900


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**12)), max_size=5), max_size=8))
def test_counters_only_rise_and_hold_everything(windows: list[list[tuple[str, int]]]) -> None:
    metrics = make_metrics()
    before: dict[object, float] = {}
    for i, window in enumerate(windows):
        tick(metrics, i, *(Traffic(pod, ingress=amount) for pod, amount in window))
        seen = {
            key: v
            for key, v in scrape(metrics).items()
            if key[0].endswith("_total") and key[0].startswith("eastwest_pod")
        }
        assert all(seen[key] >= v for key, v in before.items())
        before = dict(seen)
    total = sum(v for (name, _), v in scrape(metrics).items() if name == IN)
    assert total == sum(amount for window in windows for _, amount in window)


def test_two_scrapers_read_the_same() -> None:
    metrics = make_metrics()
    tick(metrics, 0, Traffic("a", ingress=5))
    first = metrics.render(TextFormat.OPENMETRICS)
    assert metrics.render(TextFormat.OPENMETRICS) is first
    assert metrics.render(TextFormat.CLASSIC) != first
    tick(metrics, 1, Traffic("a", ingress=5))
    assert value(scrape(metrics), IN) == 10


def test_a_hook_that_is_not_there_makes_no_zeros() -> None:
    metrics = make_metrics()
    refused = HookStatus("sock_ops", "refused", "EACCES", ("retransmissions",))
    tick(metrics, 0, Traffic("a"), hooks=[refused, HookStatus("dns", "on")])
    seen = scrape(metrics)
    names = {name for name, _ in seen}
    assert not any("tcp" in name for name in names)
    assert value(seen, "eastwest_pod_dns_requests_total") == 0
    assert value(seen, "eastwest_agent_hook_on", hook="sock_ops", reason="EACCES") == 0
    assert value(seen, "eastwest_agent_hook_on", hook="dns") == 1


def test_tcp_health_comes_from_the_records() -> None:
    metrics = make_metrics()
    tcp = {"retransmits_established": 3, "rtos_syn": 1, "resets": 2, "rtt_bucket_02": 4, "rtt_sum_us": 400}
    for window in range(2):
        tick(metrics, window, Traffic("a"), Traffic("b"), hooks=[HookStatus("sock_ops", "on")], tcp=tcp)
    seen = scrape(metrics)
    assert value(seen, "eastwest_pod_tcp_retransmissions_total", pod_uid="a", phase="established") == 6
    assert value(seen, "eastwest_pod_tcp_retransmissions_total", pod_uid="b", phase="established") == 0
    assert value(seen, "eastwest_pod_tcp_timeouts_total", pod_uid="a", phase="syn") == 2
    assert value(seen, "eastwest_pod_tcp_resets_total", pod_uid="a") == 4
    assert value(seen, "eastwest_pod_tcp_rtt_seconds_count", pod_uid="a") == 8
    assert value(seen, "eastwest_pod_tcp_rtt_seconds_bucket", pod_uid="a", le="6.4e-05") == 0
    assert value(seen, "eastwest_pod_tcp_rtt_seconds_bucket", pod_uid="a", le="0.000128") == 8
    assert value(seen, "eastwest_pod_tcp_rtt_seconds_sum", pod_uid="a") == pytest.approx(0.0008)


def test_dns_and_drops_come_from_their_hooks() -> None:
    metrics = make_metrics()
    quick = Lookup(0, 3, True, b"", b"", 53, False, "a.", 1, 0, 100_000, 0, False)
    lookups = [
        quick,
        quick,
        replace(quick, rcode=3),
        replace(quick, rcode=None, latency_ns=None),
        replace(quick, from_pod=False),
    ]
    tally = DnsTally()
    for lookup in lookups:
        tally.add(lookup)
    pod_of = {3: "a", 4: None}
    drops = of_drops(
        [3, 3, 4, 0], [2, 5, 2, 2], [7, 1, 9, 100], pod_of, {2: "no_socket", 5: "netfilter_drop"}.__getitem__
    )
    hooks = [HookStatus("dns", "on"), HookStatus("drops", "on")]
    tick(metrics, 0, Traffic("a"), hooks=hooks, more=[*of_dns(tally.by_pod(), pod_of), *drops])
    seen = scrape(metrics)
    assert value(seen, "eastwest_pod_dns_requests_total", pod_uid="a") == 4
    assert value(seen, "eastwest_pod_dns_errors_total", pod_uid="a", rcode="NXDOMAIN") == 1
    assert value(seen, "eastwest_pod_dns_errors_total", pod_uid="a", rcode="no_answer") == 1
    assert value(seen, "eastwest_pod_dns_latency_seconds_count", pod_uid="a") == 3
    assert value(seen, "eastwest_pod_dns_latency_seconds_bucket", pod_uid="a", le="0.000128") == 3
    assert value(seen, "eastwest_pod_dns_latency_seconds_bucket", pod_uid="a", le="6.4e-05") == 0
    assert value(seen, "eastwest_pod_dropped_packets_total", pod_uid="a", reason="no_socket") == 7
    assert value(seen, "eastwest_pod_dropped_packets_total", pod_uid="a", reason="netfilter_drop") == 1
    assert value(seen, "eastwest_pod_dropped_packets_total", pod_uid="unknown") == 9


def test_a_pod_that_is_gone_stays_for_its_last_scrape_and_then_leaves() -> None:
    metrics = make_metrics()
    tick(metrics, 0, Traffic("a", ingress=5), Traffic("b", ingress=1))
    tick(metrics, 60, Traffic("b", ingress=1))
    assert value(scrape(metrics), IN, pod_uid="a") == 5
    tick(metrics, 61, Traffic("b", ingress=1))
    assert value(scrape(metrics), IN, pod_uid="a") is None
    tick(metrics, 62, Traffic("c", ingress=3), Traffic("a", ingress=2))
    seen = scrape(metrics)
    assert (value(seen, IN, pod_uid="a"), value(seen, IN, pod_uid="c"), value(seen, IN, pod_uid="b")) == (2, 3, 3)
    assert value(seen, "eastwest_node_hook_bytes_total") == 13


def test_more_pods_than_the_first_tables_hold() -> None:
    metrics = make_metrics()
    tick(metrics, 0, *(Traffic(f"p{i}", ingress=i) for i in range(300)))
    tick(metrics, 1, *(Traffic(f"p{i}", ingress=1) for i in range(300)))
    assert value(scrape(metrics), IN, pod_uid="p299") == 300


def test_a_new_pod_waits_for_its_name_so_that_its_labels_never_change() -> None:
    names = PodNames(Path("/nonexistent"))
    metrics = make_metrics(names=names)
    tick(metrics, 0, Traffic("a", ingress=5), Traffic("b", ingress=7), Traffic(None, ingress=9))
    assert value(scrape(metrics), IN, pod_uid="a") is None
    assert value(scrape(metrics), IN, pod_uid="unknown") == 9
    assert set(metrics.nameless()) == {"a", "b"}
    names.learn([("a", "shop", "cart-0")])
    assert metrics.nameless() == ["b"]
    tick(metrics, 1, Traffic("a", ingress=1), Traffic("b", ingress=1))
    assert value(scrape(metrics), IN, pod_uid="a", namespace="shop", pod="cart-0") == 6
    assert value(scrape(metrics), IN, pod_uid="b") is None
    tick(metrics, 3, Traffic("b", ingress=1))
    nameless = [labels for (name, labels), v in scrape(metrics).items() if name == IN and v == 9]
    assert frozenset({("pod_uid", "b"), ("node", "node-a")}) in nameless


def test_names_come_from_the_kubelets_log_directories(tmp_path: Path) -> None:
    for entry in ("shop_cart-0_uid-1", "kube-system_dns-x_uid-2", "lost+found"):
        (tmp_path / entry).mkdir()
    names = PodNames(tmp_path)
    names.read_pod_logs()
    assert names.get("uid-1") == ("shop", "cart-0")
    assert names.get("uid-2") == ("kube-system", "dns-x")
    names.learn([("uid-1", "other", "name")])
    assert names.get("uid-1") == ("shop", "cart-0")
    names.keep(["uid-2"])
    assert names.get("uid-1") is None


def test_names_from_the_server_are_checked() -> None:
    assert parse_names(b'{"pods": [["u", "shop", "cart"]], "more": 1}') == [("u", "shop", "cart")]
    for body in (b"{}", b"[]", b'{"pods": [["u", 1, "x"]]}', b'{"pods": [["u"]]}', b"nonsense"):
        with pytest.raises(ValueError):
            parse_names(body)


def test_reference_names_are_counters_with_the_reference_labels() -> None:
    metrics = make_metrics(reference_names=True)
    tick(metrics, 0, Traffic("a", ingress=5, egress=3, opened=2, reporter="server"))
    tick(metrics, 1, Traffic("a", ingress=5, egress=3, opened=1, reporter="client"))
    for _ in range(2):  # a scrape takes nothing away
        seen = scrape(metrics)
        assert value(seen, "ingress_bytes", iface="veth0", node="node-a") == 10
        assert value(seen, "egress_bytes") == 6
        assert value(seen, "ingress_flow") == 2
        assert value(seen, "egress_flow") == 1
    assert value(scrape(make_metrics()), "ingress_bytes") is None


def test_everything_published_is_registered() -> None:
    metrics = make_metrics()
    tick(metrics, 0, Traffic("a", ingress=5, lost=1), hooks=[HookStatus(h, "on") for h in ("sock_ops", "dns", "drops")])
    known = {f.name for f in families.FAMILIES}
    published = {f.name for f in parser.text_string_to_metric_families(metrics.render(TextFormat.OPENMETRICS).decode())}
    assert published <= known
    assert {f.name for f in families.POD_FAMILIES} - published == {
        "eastwest_pod_dns_errors", "eastwest_pod_dropped_packets", "eastwest_pod_lost_packets",
        "eastwest_pod_policy_packets",
    }  # fmt: skip


def test_cost_of_a_full_node(capsys: pytest.CaptureFixture[str]) -> None:
    """110 pods with every hook on, through the real path: printed, not asserted."""
    metrics = make_metrics(reference_names=True)
    hooks = [HookStatus(h, "on") for h in ("sock_ops", "dns", "drops")]
    pods = [
        Traffic(f"6c1e3d3a-0000-4000-8000-{i:012d}", ingress=10**9, egress=10**9, opened=3, lost=1) for i in range(110)
    ]
    took, ticks = [], []
    for i in range(5):
        start = time.perf_counter()
        tick(metrics, 4 * i, *pods, hooks=hooks)
        ticks.append(time.perf_counter() - start)
        start = time.perf_counter()
        size = len(metrics.render(TextFormat.OPENMETRICS))
        took.append(time.perf_counter() - start)
    assert size > 100_000
    with capsys.disabled():
        print(
            f"\n110 pods, every hook: tick {min(ticks) * 1e3:.1f} ms, scrape {min(took) * 1e3:.1f} ms, {size / 1e3:.0f} kB"
        )
