"""The sixteen ways in which generators of policies were seen to fail, each with its number and a test of ours."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest

from eastwest.model.cluster import ClusterState, Node, Pod
from eastwest.model.flow import Direction, Workload
from eastwest.model.policy import LabelSelector
from eastwest.policy import Engine
from eastwest.policy.generate.generator import INCOMPLETE, generate
from eastwest.policy.generate.report import Watch
from eastwest.policy.replay.replay import replay
from eastwest.policy.verify.intent import parse_intent
from eastwest.policy.watch import watched
from policy.factories_evidence import ContainerPort, Shop, all_policies, cidrs, ports, selects


def works(shop: Shop) -> None:
    assert shop.denied(all_policies(shop.generate())) == []


def test_01_the_backend_port_is_allowed_not_the_service_port() -> None:
    shop = Shop().run("ui").run("orders").serve("orders", 80, 8080).talk("ui", "orders", 8080, service_port=80)
    (rule,) = shop.policy("ui").egress
    assert ports(rule) == [("TCP", 8080)]
    works(shop)


def test_01b_a_service_whose_backend_was_not_seen_is_resolved_to_its_target_port() -> None:
    shop = Shop().run("ui").run("orders", ports=(ContainerPort(8080, "TCP", "http"),)).serve("orders", 80, "http")
    shop.talk("ui", "svc:orders", 80)
    assert ports(shop.policy("ui").egress[0]) == [("TCP", 8080)]
    assert ports(shop.policy("orders").ingress[0]) == [("TCP", 8080)]


def test_02_the_workloads_selector_is_used_not_the_labels_of_the_service() -> None:
    shop = (
        Shop().run("ui").run("dns", {"k8s-app": "kube-dns", "pod-template-hash": "1"}, selector={"k8s-app": "kube-dns"})
    )
    shop.talk("ui", "dns", 53, "UDP", service_port=53)
    assert selects(shop.policy("ui").egress[0], **{"k8s-app": "kube-dns"})
    works(shop)


@pytest.mark.parametrize(("protocol", "port"), [("UDP", 8125), ("UDP", 40_000), ("SCTP", 3868), ("TCP", 1)])
def test_03_every_protocol_and_port_is_seen(protocol: str, port: int) -> None:
    shop = Shop().run("a").run("b").talk("a", "b", port, protocol)
    assert ports(shop.policy("a").egress[0]) == [(protocol, port)]
    assert ports(shop.policy("b").ingress[0]) == [(protocol, port)]
    works(shop)


def test_03b_ipv6_is_seen() -> None:
    shop = Shop().run("a").talk("a", "2001:db8::1", 443)
    assert cidrs(shop.policy("a").egress[0]) == ["2001:db8::1/128"]
    works(shop)


def test_04_a_reply_never_becomes_a_rule() -> None:
    shop = Shop().run("a").run("b").talk("a", "b", 80).talk("b", "a", 40_321, directed=False)
    assert shop.policy("a").policy_types == ("Egress",)
    assert shop.policy("b").policy_types == ("Ingress",)
    assert [(o.reason, o.port) for o in shop.generate().report.left_out] == [("it is not known who began", 40_321)]


def test_05_a_quiet_direction_is_never_isolated_unlisted() -> None:
    shop = Shop().run("a").run("b").run("idle").talk("a", "b", 80)
    generated = shop.generate()
    assert shop.policy("a").annotations["eastwest.dev/not-observed"] == "ingress"
    assert "idle" not in [p.name for p in all_policies(generated)]
    deny = shop.policy("default-deny")
    assert deny.annotations["eastwest.dev/not-observed"].splitlines() == [
        "a[Deployment]: ingress", "b[Deployment]: egress", "idle[Deployment]: ingress and egress",
    ]  # fmt: skip
    assert {str(w.workload): w.not_observed for w in generated.report.workloads}["shop/idle[Deployment]"] == (
        Direction.INGRESS, Direction.EGRESS,
    )  # fmt: skip
    assert "shop/idle[Deployment]: ingress and egress" in generated.report.text()


def test_05b_a_namespace_without_traffic_is_left_alone() -> None:
    shop = Shop().run("a").run("b").run("other", namespace="quiet").talk("a", "b", 80)
    assert list(shop.generate().policies) == ["shop"]
    assert shop.generate().report.skipped_namespaces == ("quiet",)


def test_06_nodes_and_host_network_pods_are_peers() -> None:
    shop = Shop().run("a", node="n1").run("proxy", host_network=True, ips=("192.168.0.2",), node="n2")
    shop.talk("proxy", "a", 8080).talk("node:n2", "a", 9090).talk("node:n1", "a", 8081).talk("a", "node:n2", 10250)
    (ingress,) = shop.policy("a").ingress
    assert cidrs(ingress) == ["192.168.0.1/32", "192.168.0.2/32"]
    assert ports(ingress) == [("TCP", 8080), ("TCP", 9090)]
    assert "proxy" not in [p.name for p in all_policies(shop.generate())]
    assert shop.generate().report.own_node == 10  # the probe on 8081
    works(shop)


def test_06b_a_node_is_its_own_address_and_what_was_seen_of_it() -> None:
    nodes = tuple(replace(n, ips=(*n.ips, f"10.1.{i}.1", "172.17.0.1")) for i, n in enumerate(Shop().nodes))
    shop = Shop(nodes=nodes).run("a", node="n1").talk("node:n2", "a", 80)
    assert cidrs(shop.policy("a").ingress[0]) == ["192.168.0.1/32", "192.168.0.2/32"]


def test_07_replicas_share_a_policy_and_releases_do_not() -> None:
    shop = Shop().run("ui")
    for n in range(3):
        own = {"app": "db", "statefulset.kubernetes.io/pod-name": f"db-{n}", "apps.kubernetes.io/pod-index": str(n)}
        shop.run(f"db-{n}", own, selector={"app": "db"}, kind="StatefulSet", workload="db").talk("ui", f"db-{n}", 5432)
    for release in ("blue", "green"):
        labels = {"app.kubernetes.io/name": "cache", "app.kubernetes.io/instance": release, "helm.sh/chart": "cache-1"}
        shop.run(f"cache-{release}", labels)
    shop.talk("ui", "cache-blue", 6379)
    assert [p.name for p in all_policies(shop.generate())] == ["default-deny", "cache-blue", "db", "ui"]
    to_cache, to_db = shop.policy("ui").egress
    assert selects(to_db, app="db")
    assert selects(to_cache, **{"app.kubernetes.io/name": "cache", "app.kubernetes.io/instance": "blue"})
    works(shop)


def test_07b_catalog_never_matches_its_mysql() -> None:
    name = "app.kubernetes.io/name"
    component = "app.kubernetes.io/component"
    shop = Shop().run("ui").run("catalog", {name: "catalog", component: "service"}, selector={name: "catalog"})
    shop.run("catalog-mysql", {name: "catalog", component: "mysql"}, selector={name: "catalog", component: "mysql"})
    shop.talk("ui", "catalog", 8080).talk("catalog", "catalog-mysql", 3306)
    assert selects(shop.policy("ui").egress[0], **{name: "catalog", component: "service"})
    assert shop.policy("catalog").pod_selector == LabelSelector(((component, "service"), (name, "catalog")))
    works(shop)


def test_07c_without_a_label_of_its_own_a_negation_tells_it_apart() -> None:
    shop = Shop().run("ui").run("catalog", {"app": "catalog"}).run("mysql", {"app": "catalog", "tier": "db"})
    shop.talk("ui", "catalog", 80)
    (requirement,) = shop.policy("catalog").pod_selector.match_expressions
    assert (requirement.key, requirement.operator) == ("tier", "DoesNotExist")
    works(shop)


def test_08_external_addresses_are_bounded_and_the_cost_is_stated() -> None:
    shop = Shop().run("a")
    for n in range(40):
        shop.talk("a", f"52.216.{n}.{n}", 443)
    (rule,) = shop.policy("a").egress
    assert 1 < len(cidrs(rule)) <= 8
    assert sum(ipaddress.ip_network(c).num_addresses for c in cidrs(rule)) < 2**16
    report = shop.generate().report
    assert report.beyond()["cidr-widening"] == 1
    (beyond,) = report.rules["shop/a"][0].beyond
    assert beyond.extra_addresses == sum(ipaddress.ip_network(c).num_addresses for c in cidrs(rule)) - 40
    works(shop)


def test_08b_few_addresses_are_not_widened() -> None:
    shop = Shop().run("a").talk("a", "52.216.0.9", 443).talk("a", "8.8.8.8", 443)
    assert cidrs(shop.policy("a").egress[0]) == ["8.8.8.8/32", "52.216.0.9/32"]
    assert sum(shop.generate().report.beyond().values()) == 0


def test_09_an_ipv6_host_is_128_bits() -> None:
    shop = Shop().run("a").talk("a", "2600:1fa0:8000::35", 443).talk("a", "52.216.0.9", 443)
    assert cidrs(shop.policy("a").egress[0]) == ["52.216.0.9/32", "2600:1fa0:8000::35/128"]


def test_10_what_a_short_window_misses_is_said() -> None:
    shop = Shop().run("a").run("b").talk("a", "b", 80)
    shop.run("nightly", kind="CronJob", uid=None, ips=())
    shop.watched = {Workload("shop", "Deployment", "a"): Watch(300.0, 2, 1)}
    report = shop.generate().report
    assert [str(w.workload) for w in report.workloads if w.never_ran] == ["shop/nightly[CronJob]"]
    assert "shop/nightly[CronJob]: it did not run in this window" in report.text()
    assert "shop/a[Deployment]: 300 s, 2 pods, 1 started in the window" in report.text()


def test_10b_incomplete_coverage_is_refused_unless_accepted() -> None:
    shop = Shop().run("a").run("b").talk("a", "b", 80)
    shop.watched = {Workload("shop", "Deployment", "a"): Watch(300.0, 1, 0, ("node n1 lost 5 packets (map_full)",))}
    generated = shop.generate()
    assert generated.refused
    assert generated.policies == {}
    assert generated.report.refused == ("shop/a[Deployment]: node n1 lost 5 packets (map_full)",)
    accepted = shop.generate(accept_gaps=True)
    assert not accepted.refused
    told = {p.name: p.annotations.get(INCOMPLETE) for p in all_policies(accepted)}
    assert told == {"a": "node n1 lost 5 packets (map_full)\n", "b": None, "default-deny": told["a"]}, "in the YAML"


def test_10c_edges_without_a_name_are_a_gap() -> None:
    """A node that had more edges than its budget: some of them are in no record by name."""
    owner = Workload("shop", "Deployment", "a")
    running = Pod("shop", "a-0", owner, "uid-a", {"app": "a"}, ("10.0.0.1",), "n1")
    node = {"node": "n1", "state": "reporting", "folded_edges": 3}
    watch = watched({"uid-a": [(0, 10)]}, ClusterState(pods=(running,)), {"nodes": [node]}, 0)
    assert watch[owner].gaps == ("node n1: 3 edges beyond its budget have no name",)
    complete = watched({"uid-a": [(0, 10)]}, ClusterState(pods=(running,)), {"nodes": [node | {"folded_edges": 0}]}, 0)
    assert complete[owner].gaps == ()


def test_11_names_and_order_depend_on_the_evidence_alone() -> None:
    shop = Shop().run("ui").run("b").run("c").talk("ui", "b", 80).talk("ui", "c", 81).talk("c", "52.0.0.1", 443)
    turned = Shop(shop.pods[::-1], [], shop.talks[::-1])
    assert shop.generate() == turned.generate()


def test_11b_two_workloads_of_one_name_have_two_policies() -> None:
    shop = Shop().run("x", {"app": "x"}).run("x-0", {"app": "y"}, kind="StatefulSet", workload="x").talk("x", "x-0", 1)
    assert [p.name for p in all_policies(shop.generate())] == ["default-deny", "x-deployment", "x-statefulset"]
    works(shop)


def test_12_a_service_open_to_the_outside_stays_open() -> None:
    shop = Shop().run("ui").run("b").serve("ui", 80, 8080, type="LoadBalancer").talk("198.51.100.7", "ui", 8080)
    shop.talk("b", "ui", 8080)
    from_b, outside = shop.policy("ui").ingress
    assert selects(from_b, app="b")
    assert [(p.ip_block.cidr, p.ip_block.except_) for p in outside.peers or () if p.ip_block] == [
        ("0.0.0.0/0", ("10.1.0.0/23",))
    ]
    works(shop)
    assert Shop.denied(shop.talk("203.0.113.99", "ui", 8080), all_policies(shop.generate())) == []


def test_12b_without_such_a_service_only_the_sources_seen() -> None:
    shop = Shop().run("ui").talk("198.51.100.7", "ui", 8080)
    assert cidrs(shop.policy("ui").ingress[0]) == ["198.51.100.7/32"]


@pytest.mark.parametrize("resolver", ["169.254.20.10", "169.254.169.254", "10.200.0.2"])
def test_13_dns_by_udp_and_tcp_whichever_resolver_is_used(resolver: str) -> None:
    shop = Shop().run("a").talk("a", resolver, 53, "UDP")
    (rule,) = shop.policy("a").egress
    assert cidrs(rule) == [f"{resolver}/32"]
    assert ports(rule) == [("TCP", 53), ("UDP", 53)]
    assert shop.generate().report.beyond()["dns-tcp"] == 1


@pytest.mark.parametrize(("port", "service_port"), [(53, 53), (5353, 53), (1053, 53), (5353, 0)])
def test_13b_dns_pods_on_any_port(port: int, service_port: int) -> None:
    shop = Shop().run("a").run("dns").talk("a", "dns", port, "UDP", service_port=service_port)
    assert ports(shop.policy("a").egress[0]) == [("TCP", port), ("UDP", port)]
    assert ports(shop.policy("dns").ingress[0]) == [("TCP", port), ("UDP", port)]
    works(shop.talk("a", "dns", port))


def test_14_namespaces_are_named_by_the_label_that_is_always_there() -> None:
    shop = Shop().run("a").run("b", namespace="other").talk("a", "b", 80)
    (peer,) = shop.policy("a").egress[0].peers or ()
    assert peer.namespace_selector == LabelSelector((("kubernetes.io/metadata.name", "other"),))
    works(shop)


def test_15_a_service_without_selector_is_its_endpoints() -> None:
    shop = Shop().run("a").serve("ext", 80, 8080, selector={}, endpoint_ips=("10.200.0.7",)).talk("a", "svc:ext", 80)
    (rule,) = shop.policy("a").egress
    assert (cidrs(rule), ports(rule)) == (["10.200.0.7/32"], [("TCP", 8080)])


def test_16_api_server_webhook_and_metrics_paths_are_rules_like_any_other() -> None:
    shop = Shop(nodes=(*Shop().nodes, Node("cp", ips=("192.168.0.9",))))
    shop.run("webhook", node="n1").run("prometheus", node="n2").run("a", node="n1")
    shop.talk("node:cp", "webhook", 9443).talk("prometheus", "a", 9100).talk("a", "node:cp", 6443)
    assert ports(shop.policy("webhook").ingress[0]) == [("TCP", 9443)]
    assert "192.168.0.9/32" in cidrs(shop.policy("webhook").ingress[0]) or cidrs(shop.policy("webhook").ingress[0])
    assert selects(shop.policy("a").ingress[0], app="prometheus")
    works(shop)


def test_attempts_that_nobody_answered_are_listed_never_allowed() -> None:
    shop = Shop().run("a").run("b").talk("a", "b", 80).talk("a", "b", 22, established=False)
    assert ports(shop.policy("a").egress[0]) == [("TCP", 80)]
    assert [(o.reason, o.port) for o in shop.generate().report.left_out] == [("nobody answered", 22)]


def test_icmp_cannot_be_named_and_is_listed() -> None:
    shop = Shop().run("a").run("b").talk("a", "b", 80).talk("a", "b", 0, "ICMP")
    assert [o.protocol for o in shop.generate().report.left_out] == ["ICMP"]


def test_pods_that_no_label_tells_apart_share_a_policy_and_are_reported() -> None:
    shop = Shop().run("one", {"x": "y"}).run("two", {"x": "y"}).run("ui").talk("ui", "one", 80).talk("two", "ui", 81)
    generated = shop.generate()
    assert generated.report.indistinguishable == ("shop/one[Deployment] + shop/two[Deployment]",)
    works(shop)


def test_the_evidence_stands_in_the_annotations() -> None:
    shop = Shop().run("a").run("b").talk("a", "b", 80, connections=7)
    assert shop.policy("a").annotations["eastwest.dev/evidence"] == (
        "egress to shop/b[Deployment] TCP 80: 7 connections, first 1970-01-01T00:01:40Z, last 1970-01-01T00:03:20Z\n"
    )


def test_one_namespace_only() -> None:
    shop = Shop().run("a").run("b", namespace="other").talk("a", "b", 80)
    assert list(shop.generate(namespace="other").policies) == ["other"]


def test_growing_evidence_changes_only_what_it_concerns() -> None:
    shop = Shop().run("a").run("b").run("c").talk("a", "b", 80)
    before = {p.name: p for p in all_policies(shop.generate())}
    after = {p.name: p for p in all_policies(shop.talk("a", "c", 81).generate())}
    assert after["b"] == before["b"]
    assert replace(after["a"], annotations={}).egress[:1] == before["a"].egress


def test_what_is_declared_is_permitted_with_its_reason() -> None:
    shop = Shop().run("a").run("b").run("c").talk("a", "b", 80)
    sentences = (
        "a may reach b on 80",
        "only a may reach c on 53/UDP, 9090",
        "c must not reach a",
        "a may reach 8.8.8.8 on 1",
    )
    intents = [parse_intent(sentence, "shop") for sentence in sentences]
    generated = generate(shop.cluster(), shop.evidence(), declared=intents)
    policies = all_policies(generated)
    to_b, to_c = next(p for p in policies if p.name == "a").egress
    assert (ports(to_b), ports(to_c)) == ([("TCP", 80)], [("TCP", 9090), ("UDP", 53)])
    assert generated.report.beyond()["declared"] == 4  # two ports, on both sides
    assert [o.reason.split(",")[0] for o in generated.report.left_out] == ["declared"]
    reasons = {(u.policy, u.reason) for u in replay(Engine(shop.cluster(policies)), shop.evidence()).unused}
    assert reasons == {("shop/a", "declared"), ("shop/c", "declared")}
