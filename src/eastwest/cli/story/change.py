"""Step 6 of the story: a connection that nobody declared, and the reviewed change that lets it pass."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Final

from eastwest.cli.story.scene import Json, Scene, check, policy

NEW_EDGE: Final = ("ui/ui", "orders/orders-postgresql", 5432)
"""The front end straight into the orders' database."""


def new_connection(scene: Scene) -> str:
    """Nobody declared it: it is denied, shown with its reason, and passes only after a policy change that says just that."""
    src, dst, port = NEW_EDGE
    since_ns = time.time_ns()
    words = f"src_workload={src.split('/')[1]} and dst_workload={dst.split('/')[1]} and dst_port={port}"

    def shown() -> list[Json]:
        """Tried each time: what falls into a window that had begun before `since_ns` is not in the range."""
        check(not _reaches(scene), f"{src} reaches {dst} on {port}")
        return scene.denied(since_ns, words)

    shown_s = scene.wait("the denied connection to show", shown)
    row = scene.denied(since_ns, words)[0]
    reason = row["egress_denied_by"] or row["ingress_denied_by"]
    check(reason and row["missing"], f"no reason with it: {row}")
    changed = _reviewed(scene, src, dst, port)
    scene.apply(changed)
    scene.wait("the accepted connection", lambda: _reaches(scene))
    scene.apply(scene.policies)
    scene.wait("the connection to be closed again", lambda: not _reaches(scene))
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
        text = json.dumps(policy(namespace, "declared", spec))
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
