"""Steps 7 and 8 of the story: what people get wrong, a policy that breaks the shop and an observation that was too short."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from eastwest.cli.story.enforce import enforced, roll_out, why
from eastwest.cli.story.learn import REPORT, generate, watch
from eastwest.cli.story.scene import SHOP, Json, Scene, check


def bad_policy(scene: Scene) -> str:
    """Somebody breaks a policy while it is being rolled out: the gate takes the steps back, and says what broke."""
    namespaces = enforced(scene)
    scene.mode("audit", namespaces)
    roll_out(scene, "1", "30s", wait=False)
    scene.wait("the first step to be in force", lambda: _current(scene)["realised_ns"])
    catalog = next(o for o in scene.lab.objects("NetworkPolicy") if o["metadata"]["name"] == "catalog")
    scene.put({**catalog, "spec": {**catalog["spec"], "ingress": []}})
    caught_s = scene.wait("a gate to stop the rollout", lambda: _current(scene)["status"] == "stopped")
    found = _current(scene)
    flows = [f["flow"] for stop in found["stops"] for f in stop["findings"] if f["flow"]]
    hit = [f for f in flows if f["src"].startswith("ui/ui[") and f["dst"].startswith("catalog/catalog[")]
    check(hit and hit[0]["missing"], f"the report does not name ui -> catalog and its missing rule: {why(found)}")
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
    watch(scene, cron_job=False)
    report = generate(scene, scene.began_ns, time.time_ns())
    listed = [w for w in report["workloads"] if w["workload"].startswith("/".join(REPORT) + "[")]
    check(listed and listed[0]["never_ran"], f"the report does not list the CronJob as not observed: {listed}")
    scene.apply(scene.policies)
    before = scene.purchases()
    found = roll_out(scene, "100%")
    check(found["status"] == "done", f"the rollout is {found['status']}: {why(found)}")
    sold = scene.purchases().since(before)
    check(sold.failed == 0, f"{sold.failed} purchases failed: {scene.last_failure()}")
    since_ns = time.time_ns()
    scene.lab.trigger(*REPORT)
    words = f"src_workload={REPORT[1]}"
    scene.wait("the CronJob to be denied", lambda: scene.denied(since_ns, words))
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
    )
    scene.anew()
    scene.lab.apply(*_without_first_run(scene))
    scene.lab.wait()


def _without_first_run(scene: Scene) -> list[Path]:
    import yaml

    from eastwest.lab.shipped import scenario_path

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
