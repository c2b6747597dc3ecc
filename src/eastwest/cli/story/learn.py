"""Steps 1 to 3 of the story: the shop as it is, what a blind default deny does to it, and policies from its traffic."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import Final

from eastwest.cli.story.scene import SHOP, Json, Scene, StoryError, check, policy, rfc3339
from eastwest.policy.generate.report import REASONS

REPORT: Final = ("orders", "orders-report")
"""The CronJob that makes one rare connection."""


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
    broke_s = scene.wait("purchases to fail", lambda: scene.purchases().since(before).failed > 0)
    scene.wait("the map to show it", lambda: _denied_on_map(scene, since_ns))
    edges = _denied_on_map(scene, since_ns)
    scene.mode("off", SHOP)
    scene.no_policies()
    back_s = scene.recover()
    return f"first failure after {broke_s:.1f} s, {len(edges)} edges denied on the map; back {back_s:.1f} s after rolling back"


def _deny_all(namespace: str) -> Json:
    return policy(namespace, "default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})


def _denied_on_map(scene: Scene, since_ns: int) -> list[Json]:
    """Edges of the map that policies denied, each with who did; none unless the shoppers' own is among them."""
    answer = scene.stack.get("/api/v1/service-map", start=rfc3339(since_ns))
    kinds = {n["id"]: n["kind"] for n in answer["nodes"]}
    denied = [e for e in answer["edges"] if e["policy_denied"]]
    named = all(e["egress_denied_by"] or e["ingress_denied_by"] for e in denied)
    shoppers = any(kinds[e["source"]] == "internet" and e["dst_port"] == 8080 for e in denied)
    return denied if named and shoppers else []


def observe_and_generate(scene: Scene) -> str:
    """Policies from one window hold in the next, in which new pods start and the CronJob runs again."""
    watch(scene, cron_job=True)
    middle_ns = time.time_ns()
    report = generate(scene, scene.began_ns, middle_ns)
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
        scene.wait("the new window to use every rule", every_rule_used)
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


def watch(scene: Scene, *, cron_job: bool) -> None:
    """Let the shop sell until every workload has been seen to do what it does."""
    scene.sell(40)
    if cron_job:
        scene.lab.trigger(*REPORT)
        scene.wait("the CronJob's connection", lambda: _flows(scene, "src_workload=orders-report and dst_port=5432"))
    for workload in ("catalog", "carts", "checkout", "orders"):  # their names are looked up when pools fill
        words = f"src_workload={workload} and dst_port=53"
        scene.wait(f"{workload} to look names up", partial(_flows, scene, words))


def _flows(scene: Scene, words: str) -> list[Json]:
    rows: list[Json] = scene.stack.get("/api/v1/flows", start=rfc3339(scene.began_ns), filter=words)["rows"]
    return rows


def generate(scene: Scene, start_ns: int, end_ns: int) -> Json:
    scene.heard(end_ns)
    shutil.rmtree(scene.policies, ignore_errors=True)
    span = ("--start", rfc3339(start_ns), "--end", rfc3339(end_ns))
    report: Json = scene.ask("policy", "generate", *span, "-o", str(scene.policies), codes=(0, 1))
    check(not report["refused"], f"coverage is incomplete: {'; '.join(report['refused'][:3])}")
    return report
