"""The eight steps of the story: each does one thing to a real cluster and says what came of it, or raises StoryError."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from eastwest.cli._story_probes import compared, table
from eastwest.cli._story_scene import SHOP, Json, Scene, StoryError, rfc3339
from eastwest.policy.generate_report import REASONS

REPORT: Final = ("orders", "orders-report")
NEW_EDGE: Final = ("ui/ui", "orders/orders-postgresql", 5432)
"""A connection that nobody has made or declared: the front end straight into the orders' database."""
HOLD: Final = "4s"


def check(holds: object, otherwise: str) -> None:
    if not holds:
        raise StoryError(otherwise)


# --- 1, 2 ---------------------------------------------------------------------------------------------------------


def no_policies(scene: Scene) -> str:
    """Nothing is enforced: people buy."""
    found = scene.sell(30)
    check(found.failed == 0, f"{found.failed} purchases failed: {scene.last_failure()}")
    return "nothing is enforced"


def default_deny(scene: Scene) -> str:
    """A default deny and nothing that allows: the shop stops, the map says where, and going back brings it back."""
    since_ns, before = time.time_ns(), scene.purchases()
    scene.lab.apply_objects([_deny_all(namespace) for namespace in SHOP], wait=False)
    scene.mode("enforce", SHOP)
    broke_s = scene.wait("purchases to fail", lambda: scene.purchases().since(before).failed > 0, 15)
    scene.wait("the map to show it", lambda: _denied_on_map(scene, since_ns), 10)
    edges = _denied_on_map(scene, since_ns)
    scene.mode("off", SHOP)
    scene.no_policies()
    back_s = scene.recover()
    return f"first failure after {broke_s:.1f} s, {len(edges)} edges denied on the map; back {back_s:.1f} s after rolling back"


def _deny_all(namespace: str) -> Json:
    return _policy(namespace, "default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def _policy(namespace: str, name: str, spec: Json) -> Json:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _denied_on_map(scene: Scene, since_ns: int) -> list[Json]:
    """Edges of the map that policies denied, each with who did; none unless the shoppers' own is among them."""
    answer = scene.stack.get("/api/v1/service-map", start=rfc3339(since_ns))
    kinds = {n["id"]: n["kind"] for n in answer["nodes"]}
    denied = [e for e in answer["edges"] if e["policy_denied"]]
    named = all(e["egress_denied_by"] or e["ingress_denied_by"] for e in denied)
    shoppers = any(kinds[e["source"]] == "internet" and e["dst_port"] == 8080 for e in denied)
    return denied if named and shoppers else []


# --- 3 ------------------------------------------------------------------------------------------------------------


def observe_and_generate(scene: Scene) -> str:
    """Policies from one window hold in the next, in which new pods start and the CronJob runs again."""
    _watch(scene, cron_job=True)
    middle_ns = time.time_ns()
    report = _generate(scene, scene.began_ns, middle_ns)
    outside = set(report["beyond_observed"]) - set(REASONS)
    check(not outside, f"permissions for other reasons than the closed list: {outside}")
    for name in ("catalog", "carts", "orders"):  # fresh pods look names up and fill their pools again
        scene.lab.scale("Deployment", name, name, 2)
    scene.lab.trigger(*REPORT)
    scene.sell(60)
    answer: Json = {}

    def every_rule_used() -> bool:
        nonlocal answer
        where = ("--policies", str(scene.policies), "--start", rfc3339(middle_ns))
        answer = scene.ask("policy", "replay", *where, codes=(0, 1))
        return not _beyond(answer) or bool(answer["denied"])

    try:
        scene.wait("the new window to use every rule", every_rule_used, 40)
    except StoryError:
        raise StoryError(
            f"permissions that nothing used, and no reason of the closed list: {_beyond(answer)}"
        ) from None
    check(not answer["denied"], f"the new window would be denied: {answer['denied']}")
    beyond = ", ".join(f"{reason} {count}" for reason, count in report["beyond_observed"].items() if count) or "none"
    rules = sum(len(r) for r in report["policies"].values())
    return (
        f"{len(report['policies'])} policies, {rules} rules; new window: {answer['flows']} flows, 0 denied; "
        f"beyond what was seen: {beyond}"
    )


def _beyond(answer: Json) -> list[str]:
    return [
        f"{u['policy']} {u['direction']}[{u['rule']}] {u['port'] or ''}"
        for u in answer["unused"]
        if u["reason"] not in REASONS
    ]


def _watch(scene: Scene, *, cron_job: bool) -> None:
    """Let the shop sell until every workload has been seen to do what it does."""
    scene.sell(40)
    if cron_job:
        scene.lab.trigger(*REPORT)
        scene.wait(
            "the CronJob's connection", lambda: _flows(scene, "src_workload=orders-report and dst_port=5432"), 20
        )
    for workload in ("catalog", "carts", "checkout", "orders"):  # their names are looked up when pools fill
        words = f"src_workload={workload} and dst_port=53"
        scene.wait(f"{workload} to look names up", partial(_flows, scene, words), 30)


def _flows(scene: Scene, words: str) -> list[Json]:
    rows: list[Json] = scene.stack.get("/api/v1/flows", start=rfc3339(scene.began_ns), filter=words)["rows"]
    return rows


def _generate(scene: Scene, start_ns: int, end_ns: int) -> Json:
    shutil.rmtree(scene.policies, ignore_errors=True)
    span = ("--start", rfc3339(start_ns), "--end", rfc3339(end_ns))
    report: Json = scene.ask("policy", "generate", *span, "-o", str(scene.policies))
    return report


# --- 4, 5 ---------------------------------------------------------------------------------------------------------


def staged_rollout(scene: Scene) -> str:
    """Off, audit, enforce: node by node, and not one purchase fails."""
    scene.apply(scene.policies)
    before = scene.purchases()
    found = roll_out(scene, "2")
    check(found["status"] == "done", f"the rollout is {found['status']}: {_why(found)}")
    modes = {c[direction] for c in found["cells"] for direction in ("ingress", "egress")}
    check(modes == {"enforce"}, f"modes after the rollout: {modes}")
    scene.sell(12)
    sold = scene.purchases().since(before)
    check(sold.failed == 0, f"{sold.failed} purchases failed: {scene.last_failure()}")
    return f"{len(found['steps'])} steps, {len({c['node'] for c in found['cells']})} nodes"


def roll_out(scene: Scene, budget: str, hold: str = HOLD, *, wait: bool = True) -> Json:
    """Start a rollout of every namespace that has generated policies; where it stands, with `wait` at its end."""
    words = [w for namespace in enforced(scene) for w in ("-n", namespace)]
    options = ("--budget", budget, "--hold", hold, "--lookback", "15m", *(("--wait",) if wait else ()))
    found: Json = scene.ask("rollout", "start", *words, *options, codes=(0, 1))
    return found


def enforced(scene: Scene) -> list[str]:
    """The namespaces that have generated policies."""
    return sorted(folder.name for folder in scene.policies.iterdir() if folder.is_dir())


def _why(rollout: Json) -> str:
    return "; ".join(f["text"] for stop in rollout["stops"] for f in stop["findings"]) or str(rollout["trouble"])


def closed_paths(scene: Scene) -> str:
    """Every pair of pods × declared ports × TCP and UDP × IPv4 and IPv6: the wire says what the engine says."""
    cells = table(scene.cluster())
    wrong, reached, denied = compared(scene.lab, cells)
    check(not wrong, f"{len(wrong)} of {len(cells)} cells differ: {'; '.join(wrong[:5])}")
    return f"{len(cells)} cells as the engine says: {reached} open, {denied} closed"


# --- 6 ------------------------------------------------------------------------------------------------------------


def new_connection(scene: Scene) -> str:
    """Nobody declared it: it is denied, shown with its reason, and passes only after a policy change that says just that."""
    src, dst, port = NEW_EDGE
    since_ns = time.time_ns()
    check(not _reaches(scene), f"{src} reaches {dst} on {port}")
    words = f"src_workload={src.split('/')[1]} and dst_workload={dst.split('/')[1]} and dst_port={port}"
    shown_s = scene.wait("the denied connection to show", lambda: scene.denied(since_ns, words), 10)
    row = scene.denied(since_ns, words)[0]
    reason = row["egress_denied_by"] or row["ingress_denied_by"]
    check(reason and row["missing"], f"no reason with it: {row}")
    changed = _reviewed(scene, src, dst, port)
    scene.apply(changed)
    scene.wait("the accepted connection", lambda: _reaches(scene), 10)
    scene.apply(scene.policies)
    scene.wait("the connection to be closed again", lambda: not _reaches(scene), 10)
    return f"shown after {shown_s:.1f} s: {reason}; the diff adds it and nothing else"


def _reaches(scene: Scene) -> bool:
    src, dst, port = NEW_EDGE
    return scene.lab.probe(src, f"{dst}:{port}/TCP").reachable


def _reviewed(scene: Scene, src: str, dst: str, port: int) -> Path:
    """A copy of the policies that also allows it, after `policy diff` has said that it changes nothing else."""
    changed = scene.folder / "changed"
    shutil.rmtree(changed, ignore_errors=True)
    shutil.copytree(scene.policies, changed)
    (pod, peer), ports = (_labelled(scene, name) for name in (src, dst)), [{"port": port, "protocol": "TCP"}]
    egress = {"podSelector": pod, "policyTypes": ["Egress"], "egress": [{"to": [_peer(dst, peer)], "ports": ports}]}
    ingress = {
        "podSelector": peer,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [_peer(src, pod)], "ports": ports}],
    }
    for end, spec in ((src, egress), (dst, ingress)):
        namespace = end.split("/")[0]
        text = json.dumps(_policy(namespace, "declared", spec))
        (changed / namespace / "declared.yaml").write_text(text)
    workloads = scene.folder / "cluster"
    _write_cluster(scene, workloads)
    rows = scene.eastwest(
        "policy", "diff", str(scene.policies), str(changed), "--cluster", str(workloads), codes=(0, 1)
    )
    said = {(r["change"], r["src"].split("[")[0], r["dst"].split("[")[0]) for r in rows}
    check(said == {("added", src, dst)}, f"the diff says more than was declared: {rows}")
    return changed


def _labelled(scene: Scene, workload: str) -> Json:
    """A selector of a workload's pods: its owner's own."""
    pod = next(p for p in scene.cluster().pods if f"{p.workload.namespace}/{p.workload.name}" == workload)
    return {"matchLabels": dict(pod.selector or pod.labels)}


def _peer(workload: str, pods: Json) -> Json:
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": workload.split("/")[0]}}
    return {"namespaceSelector": namespace, "podSelector": pods}


def _write_cluster(scene: Scene, folder: Path) -> None:
    """The cluster's objects but its policies, as a folder for the policy commands."""
    folder.mkdir(exist_ok=True)
    kinds = ("Namespace", "Node", "Deployment", "StatefulSet", "CronJob", "ReplicaSet", "Job", "Pod", "Service")
    objects = [o for kind in kinds for o in scene.lab.objects(kind)]
    (folder / "objects.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


# --- 7, 8 ---------------------------------------------------------------------------------------------------------


def bad_policy(scene: Scene) -> str:
    """Somebody breaks a policy while it is being rolled out: the gate takes the steps back, and says what broke."""
    namespaces = enforced(scene)
    scene.mode("audit", namespaces)
    roll_out(scene, "1", "30s", wait=False)
    scene.wait("the first step to be in force", lambda: _current(scene)["realised_ns"], 20)
    catalog = next(o for o in scene.lab.objects("NetworkPolicy") if o["metadata"]["name"] == "catalog")
    scene.put({**catalog, "spec": {**catalog["spec"], "ingress": []}})
    caught_s = scene.wait("a gate to stop the rollout", lambda: _current(scene)["status"] == "stopped", 30)
    found = _current(scene)
    flows = [f["flow"] for stop in found["stops"] for f in stop["findings"] if f["flow"]]
    hit = [f for f in flows if f["src"].startswith("ui/ui[") and f["dst"].startswith("catalog/catalog[")]
    check(hit and hit[0]["missing"], f"the report does not name ui -> catalog and its missing rule: {_why(found)}")
    modes = {c["ingress"] for c in found["cells"]}
    check(modes == {"audit"}, f"modes after the stop: {modes}")
    recovered_s = scene.recover()
    scene.apply(scene.policies)
    scene.ask("rollout", "abort")
    return f"caught after {caught_s:.1f} s: {hit[0]['src']} -> {hit[0]['dst']}, rolled back; shop well {recovered_s:.1f} s later"


def _current(scene: Scene) -> Json:
    found: Json = scene.ask("rollout", "status", codes=(0, 1))
    return found


def ended_too_early(scene: Scene) -> str:
    """The shop anew; watching ends before the CronJob has run: the report says so, and enforcing denies it."""
    scene.mode("off", enforced(scene))
    scene.no_policies()
    _restart_shop(scene)
    _watch(scene, cron_job=False)
    report = _generate(scene, scene.began_ns, time.time_ns())
    listed = [w for w in report["workloads"] if w["workload"].startswith("/".join(REPORT) + "[")]
    check(listed and listed[0]["never_ran"], f"the report does not list the CronJob as not observed: {listed}")
    scene.apply(scene.policies)
    before = scene.purchases()
    found = roll_out(scene, "100%")
    check(found["status"] == "done", f"the rollout is {found['status']}: {_why(found)}")
    sold = scene.purchases().since(before)
    check(sold.failed == 0, f"{sold.failed} purchases failed: {scene.last_failure()}")
    since_ns = time.time_ns()
    scene.lab.trigger(*REPORT)
    words = f"src_workload={REPORT[1]}"
    scene.wait("the CronJob to be denied", lambda: scene.denied(since_ns, words), 20)
    row = scene.denied(since_ns, words)[0]
    reason = row["egress_denied_by"] or row["ingress_denied_by"]
    check(reason, f"denied without a reason: {row}")
    return f"listed as not observed; denied when it ran: {reason}"


def _restart_shop(scene: Scene) -> None:
    """The scenario from nothing, its CronJob at a time that does not come."""
    for namespace in SHOP:
        scene.lab.delete("Namespace", "", namespace)
    scene.wait(
        "the shop to be gone",
        lambda: not [p for p in scene.lab.objects("Pod") if p["metadata"]["namespace"] in SHOP],
        40,
    )
    scene.anew()
    scene.lab.apply(*_without_first_run(scene))
    scene.lab.wait()


def _without_first_run(scene: Scene) -> list[Path]:
    import yaml

    from eastwest.lab.runtime import scenario_path

    folder = scene.folder / "scenario"
    folder.mkdir(exist_ok=True)
    later = f"{(time.gmtime().tm_min + 30) % 60} * * * *"
    for source in sorted(scenario_path("retail-store").glob("*.yaml")):
        objects: list[Any] = list(yaml.safe_load_all(source.read_text()))
        for body in objects:
            if body["kind"] == "CronJob":
                body["metadata"]["annotations"].pop("eastwest.lab/first-run", None)
                body["spec"]["schedule"] = later
        (folder / source.name).write_text(yaml.safe_dump_all(objects))
    return sorted(folder.glob("*.yaml"))


STEPS: Final[tuple[tuple[str, Callable[[Scene], str]], ...]] = (
    ("no policies", no_policies),
    ("default deny without policies, and back", default_deny),
    ("observe, generate, replay a new window", observe_and_generate),
    ("staged rollout to enforce", staged_rollout),
    ("every path that was not observed is closed", closed_paths),
    ("a connection that nobody declared", new_connection),
    ("a bad policy during a rollout", bad_policy),
    ("observation ends before the CronJob runs", ended_too_early),
)
