"""Other spellings of the generated permissions: ClusterNetworkPolicy and CiliumNetworkPolicy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml
from hypothesis import given, settings

from eastwest.cli.policy.generate import cilium_files, cluster_files, files, write
from eastwest.k8s.manifests import Problem, RawObject, load_text, parse
from eastwest.k8s.write import cluster_policy_body, document
from eastwest.model.cluster import ClusterState
from eastwest.model.policy import ClusterNetworkPolicy
from eastwest.policy import Engine
from eastwest.policy.batch import decide_many
from eastwest.policy.evidence import Evidence, Outsider
from eastwest.policy.generate.cluster import cluster_policies
from eastwest.policy.generate.generator import Generated, generate
from policy.factories_evidence import Shop
from policy.generate.test_laws import allowed_evidence, shops


def named(shop: Shop, address: str, name: str) -> tuple[ClusterState, Evidence]:
    """The evidence with a DNS name for one address."""
    evidence = shop.evidence()

    def with_name(o: Outsider) -> Outsider:
        return replace(o, dns_name=name) if o.address == address else o

    return shop.cluster(), replace(evidence, outsiders=tuple(map(with_name, evidence.outsiders)))


def shop() -> Shop:
    made = Shop().run("ui").run("api", namespace="back").run("dns").serve("ui", 80, 8080, type="LoadBalancer")
    made.talk("ui", "api", 8080).talk("ui", "dns", 53, "UDP").talk("ui", "52.0.0.1", 443).talk(
        "198.51.100.1", "ui", 8080
    )
    return made.talk("node:n2", "ui", 9090)


def parsed(policies: tuple[ClusterNetworkPolicy, ...]) -> tuple[ClusterNetworkPolicy, ...]:
    found: list[RawObject] = []
    problems: list[Problem] = []
    load_text("---\n".join(document(cluster_policy_body(p)) for p in policies), "p.yaml", found, problems)
    state, more = parse(found)
    assert problems + more == []
    return tuple(replace(p, file=None, line=0) for p in state.cluster_network_policies)


def denied(shop: Shop, policies: tuple[ClusterNetworkPolicy, ...]) -> list[int]:
    engine = Engine(replace(shop.cluster(), cluster_network_policies=policies))
    e = shop.evidence()
    src, dst = (engine.ends.columns(s.pod, s.address) for s in (e.src, e.dst))
    decided = decide_many(engine, src, dst, e.protocol, e.port)
    return [t.port for t, ok in zip(shop.talks, decided.allowed, strict=True) if not ok]


@settings(max_examples=60, deadline=None)
@given(shops())
def test_cluster_policies_deny_no_established_connection(shop: Shop) -> None:
    policies = cluster_policies(shop.generate(), by_domain=False)
    assert parsed(policies) == policies
    assert denied(allowed_evidence(shop), policies) == []


def test_cluster_policies_close_what_was_not_seen() -> None:
    policies = cluster_policies(shop().generate())
    assert denied(shop().talk("dns", "ui", 8080).talk("ui", "dns", 80).talk("ui", "52.0.0.2", 443), policies) == [
        8080,
        80,
        443,
    ]


def test_more_rules_than_one_object_holds() -> None:
    many = Shop().run("hub")
    for n in range(60):
        many.run(f"w{n}").talk("hub", f"w{n}", 80).talk(f"w{n}", "hub", 90)
    policies = cluster_policies(many.generate())
    assert [p.priority for p in policies if p.name.startswith("shop.hub")] == [100, 101, 102, 1000]
    assert parsed(policies) == policies
    assert denied(many, policies) == []


def test_domain_names_where_every_address_has_one() -> None:
    generated = generate(*named(shop(), "52.0.0.1", "api.example.com"))
    (policy,) = [p for p in cluster_policies(generated) if p.name == "shop.ui"]
    assert [p.domain_names for r in policy.egress for p in r.peers if p.domain_names] == [("api.example.com",)]
    body = cilium(generated, "shop/ui")
    assert [r["toFQDNs"] for r in body["egress"] if "toFQDNs" in r] == [[{"matchName": "api.example.com"}]]
    dns = next(r for r in body["egress"] if r["toPorts"][0]["ports"][0]["port"] == "53")
    assert dns["toPorts"][0]["rules"] == {"dns": [{"matchPattern": "*"}]}


def cilium(generated: Generated, name: str) -> dict[str, list[dict[str, object]]]:  # type: ignore[type-arg]
    return yaml.safe_load(cilium_files(generated)[f"{name}.yaml"])["spec"]  # type: ignore[no-any-return]


def test_cilium_has_words_for_nodes_the_world_and_namespaces() -> None:
    body = cilium(shop().generate(), "shop/ui")
    assert [r["fromEntities"] for r in body["ingress"]] == [["host", "remote-node", "kube-apiserver"], ["world"]]
    to_api = next(r for r in body["egress"] if "toEndpoints" in r and r["toPorts"][0]["ports"][0]["port"] == "8080")
    assert to_api["toEndpoints"] == [{"matchLabels": {"k8s:io.kubernetes.pod.namespace": "back", "app": "api"}}]
    assert [r["toCIDRSet"] for r in body["egress"] if "toCIDRSet" in r] == [[{"cidr": "52.0.0.1/32"}]]
    deny = cilium(shop().generate(), "shop/default-deny")
    assert (deny["ingress"], deny["egress"]) == ([{}], [{}])


def test_every_format_is_a_kustomization(tmp_path: Path) -> None:
    for made in (files(shop().generate()), cilium_files(shop().generate()), cluster_files(shop().generate())):
        for name, text in made.items():
            if name.endswith("kustomization.yaml"):
                folder = name.split("/")[0]
                assert all(f"{folder}/{r}" in made for r in yaml.safe_load(text)["resources"])
        write(tmp_path, made)


def test_one_workloads_deny_never_undoes_anothers_accept() -> None:
    """Where a selector of one workload also covers another's pods, both policies apply to them: Accept must come first."""
    made = Shop().run("d", {}, workload="w").run("e", {"app": "a"}, selector={}, workload="w")
    made.run("s", {}, kind="StatefulSet", workload="w").talk("d", "e", 53).talk("s", "d", 53, "UDP")
    assert denied(made, cluster_policies(made.generate())) == []
