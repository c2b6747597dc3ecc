"""The engine agrees with network-config-analyzer 2.1.0, an independent implementation, on hand-written and generated
clusters.

Its deviations from our defaults are flipped by options, never ignored: an ipBlock never matches pods there
(ip_block_matches_pods=False), host-network pods are ordinary pods (host_network=ordinary), connections of a pod with
itself are left out. It knows neither ClusterNetworkPolicy nor ICMP.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from eastwest.cli.policy.conformance import load_cases
from eastwest.k8s.manifests import load
from eastwest.policy import Engine, Options
from eastwest.policy.conformance.cluster import CaseCluster
from eastwest.policy.ports import PortSet, Ranges, normalize

HERE = Path(__file__).parent
CASES = HERE.parent / "golden" / "policy" / "cases"
AS_NCA = Options(ip_block_matches_pods=False, host_network="ordinary")
GENERATED = int(os.environ.get("EASTWEST_NCA_CLUSTERS", "12"))
DEVIATES = {
    "types-default-empty-egress": "it takes an empty egress section for policyTypes Egress; SetDefaults_NetworkPolicy"
    " (kubernetes pkg/apis/networking/v1/defaults.go) asks for at least one egress rule",
    **dict.fromkeys(
        (
            "labels-and-expressions-are-anded",
            "expressions-of-pods-and-namespaces",
            "same-permission-by-another-policy-keeps-established",
        ),
        "Exists in a podSelector beside a namespaceSelector looks only at pods of the policy's own namespace"
        " (K8sPolicyYamlParser.parse_label_selector_requirement)",
    ),
}
"""Cases where it contradicts the specification; generated clusters leave these two constructs out."""
Answer = dict[tuple[str, str, str], Ranges]
"""(pod or address, pod or address, protocol) to ports."""


def ask_nca(folders: list[str]) -> dict[str, list[tuple[str, str, str, int, int]]]:
    command = [sys.executable, "-W", "ignore", str(HERE / "nca_driver.py"), *folders]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    answers: dict[str, list[tuple[str, str, str, int, int]]] = json.loads(done.stdout)
    return answers


def span(text: str) -> tuple[int, int, int] | None:
    """(family, first, last) of `first-last`, None for a pod."""
    first, _, last = text.rpartition("-")
    try:
        low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        return None
    return low.version, int(low), int(high)


def nca_answer(rows: list[tuple[str, str, str, int, int]], probes: list[str]) -> Answer:
    """Rows with address ranges, as one entry per probe address."""
    found: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    for src, dst, protocol, low, high in rows:
        for a in inside(src, probes):
            for b in inside(dst, probes):
                found[a, b, protocol].append((low, high))
    return {key: normalize(ranges) for key, ranges in found.items()}


def inside(end: str, probes: list[str]) -> list[str]:
    bounds = span(end)
    if bounds is None:
        return [end]
    family, low, high = bounds
    return [p for p in probes if (a := ipaddress.ip_address(p)).version == family and low <= int(a) <= high]


def our_answer(engine: Engine, probes: list[str]) -> Answer:
    out: Answer = {}

    def put(src: str, dst: str, ports: PortSet) -> None:
        for protocol, ranges in zip(("TCP", "UDP", "SCTP"), ports.slots, strict=True):
            if ranges:
                out[src, dst, protocol] = ranges

    pods = [(f"{p.namespace}/{p.name}", engine.ends.pod_at(i)) for i, p in enumerate(engine.universe.pods)]
    addresses = [(p, engine.ends.address(p)) for p in probes]
    for name, end in pods:
        for other, end2 in pods:
            if name != other:
                put(name, other, engine.allowed_ports(end, end2))
        for address, outside in addresses:
            put(name, address, engine.allowed_ports(end, outside))
            put(address, name, engine.allowed_ports(outside, end))
    return out


def probes_of(engine: Engine, rows: list[tuple[str, str, str, int, int]]) -> list[str]:
    """One address in every range that either side tells apart, never a pod's own."""
    values = {(f, start) for f, space in engine.identities.intervals.items() for start in space.starts}
    for row in rows:
        for bounds in (span(row[0]), span(row[1])):
            if bounds is not None:
                values |= {(bounds[0], bounds[1]), (bounds[0], bounds[2])}
    taken = engine.universe.pod_at.keys()
    kinds = {4: ipaddress.IPv4Address, 6: ipaddress.IPv6Address}
    return sorted(str(kinds[f](v)) for f, v in values - taken)


def compare(folders: list[Path]) -> dict[str, str]:
    """Every folder that it can read must get the same answer; the others are returned with its reason."""
    answers = ask_nca([str(f) for f in folders])
    refused = {f.name: answer for f in folders if isinstance(answer := answers[str(f)], str)}
    disagreed = dict[str, dict[tuple[str, str, str], tuple[Ranges | None, Ranges | None]]]()
    for folder in folders:
        if folder.name in refused:
            continue
        state, problems = load(folder)
        assert not [p for p in problems if p.severity == "error"], problems
        engine = Engine(state, AS_NCA)
        rows = answers[str(folder)]
        probes = probes_of(engine, rows)
        ours, theirs = our_answer(engine, probes), nca_answer(rows, probes)
        differs = {k: (ours.get(k), theirs.get(k)) for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)}
        if differs:
            disagreed[folder.name] = dict(sorted(differs.items())[:5])
    assert not disagreed, f"(ours, theirs) by folder: {disagreed}"
    return refused


def plain(item: dict[str, Any]) -> bool:
    """What network-config-analyzer can read with the same meaning."""
    return item["kind"] in ("Namespace", "Pod", "NetworkPolicy") and not item.get("spec", {}).get("hostNetwork")


def test_hand_written_cases(tmp_path: Path) -> None:
    folders = []
    for case in load_cases([str(CASES)]):
        cluster = CaseCluster(case.cluster)
        cluster.objects()
        for number, step in enumerate(case.steps):
            for reference in step.delete:
                cluster.delete(reference)
            for item in step.apply:
                cluster.apply(item)
            objects = cluster.objects()
            if all(plain(o) for o in objects) and case.name not in DEVIATES:
                folder = tmp_path / f"{case.name}-{number}"
                folder.mkdir()
                (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
                folders.append(folder)
    refused = compare(folders)
    # rules of a direction that policyTypes does not name: the API server accepts them, it does not
    assert refused.keys() <= {"types-egress-only-ignores-ingress-rules-0", "egress-rule-without-its-type-0"}
    assert len(folders) - len(refused) > 60


def test_generated_clusters(tmp_path: Path) -> None:
    folders = []
    for seed in range(GENERATED):
        folder = tmp_path / f"seed{seed}"
        folder.mkdir()
        (folder / "all.yaml").write_text(yaml.safe_dump_all(generate(random.Random(seed))))
        folders.append(folder)
    assert compare(folders) == {}


def generate(rng: random.Random) -> list[dict[str, Any]]:
    """A few namespaces, pods with named ports, and policies with every construct."""
    spaces = [f"n{i}" for i in range(rng.randint(1, 3))]
    out: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n, "labels": {"team": rng.choice("ab")}}}
        for n in spaces
    ]
    for i in range(rng.randint(2, 7)):
        labels = {k: rng.choice("ab") for k in ("app", "tier") if rng.random() < 0.7}
        ports = [{"containerPort": rng.choice((80, 81, 53)), "name": rng.choice(("web", "alt"))}]
        spec = {"containers": [{"name": "c", "image": "i", "ports": ports}]}
        metadata = {"name": f"p{i}", "namespace": rng.choice(spaces), "labels": labels}
        status = {"podIP": f"10.0.0.{i + 1}", "podIPs": [{"ip": f"10.0.0.{i + 1}"}], "phase": "Running"}
        out.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status})
    return out + [policy(rng, spaces, i) for i in range(rng.randint(1, 5))]


def selector(rng: random.Random, keys: tuple[str, ...]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if rng.random() < 0.4:
        out["matchLabels"] = {rng.choice(keys): rng.choice("ab")}
    if rng.random() < 0.4:
        operator = rng.choice(("In", "NotIn", "Exists", "DoesNotExist"))
        values = {"values": rng.sample("abc", rng.randint(1, 2))} if operator.endswith("In") else {}
        out["matchExpressions"] = [{"key": rng.choice(keys), "operator": operator, **values}]
    return out


def peer(rng: random.Random) -> dict[str, Any]:
    if rng.random() < 0.3:
        cidr, excepts = rng.choice(
            (("203.0.113.0/24", ["203.0.113.64/26"]), ("0.0.0.0/0", ["10.0.0.0/8"]), ("198.18.0.0/15", []))
        )
        return {"ipBlock": {"cidr": cidr, **({"except": excepts} if excepts and rng.random() < 0.6 else {})}}
    out = {}
    if rng.random() < 0.7:
        out["podSelector"] = selector(rng, ("app", "tier"))
    if not out or rng.random() < 0.4:
        out["namespaceSelector"] = selector(rng, ("team", "kubernetes.io/metadata.name"))
        for requirement in out.get("podSelector", {}).get("matchExpressions", []):
            requirement |= {"operator": "In", "values": ["a"]}
    return out


def port(rng: random.Random) -> dict[str, Any]:
    protocol = rng.choice(("TCP", "TCP", "UDP", "SCTP"))
    kind = rng.random()
    if kind < 0.2:
        return {"protocol": protocol}
    if kind < 0.4:
        return {"protocol": "TCP", "port": rng.choice(("web", "alt"))}
    if kind < 0.6:
        return {"protocol": protocol, "port": 80, "endPort": rng.choice((80, 90, 65535))}
    return {"protocol": protocol, "port": rng.choice((53, 80, 81))}


def policy(rng: random.Random, spaces: list[str], index: int) -> dict[str, Any]:
    spec: dict[str, Any] = {"podSelector": selector(rng, ("app", "tier"))}
    for direction, ends in (("ingress", "from"), ("egress", "to")):
        if rng.random() < 0.7:
            rules = []
            for _ in range(rng.randint(0, 2)):
                rule: dict[str, Any] = {}
                if rng.random() < 0.8:
                    rule[ends] = [peer(rng) for _ in range(rng.randint(1, 2))]
                if rng.random() < 0.7:
                    rule["ports"] = [port(rng) for _ in range(rng.randint(1, 2))]
                rules.append(rule)
            if rules or direction == "ingress":
                spec[direction] = rules
    if rng.random() < 0.5:  # it refuses a section that policyTypes does not name
        needed = [d.capitalize() for d in ("ingress", "egress") if d in spec]
        spec["policyTypes"] = needed or rng.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
    metadata = {"name": f"np{index}", "namespace": rng.choice(spaces)}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
