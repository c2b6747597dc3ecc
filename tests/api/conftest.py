"""One server for the tests that only ask, with a small shop in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from api.factories_batches import AT, batch
from api.running import RunningServer
from eastwest.wire.client import Outcome
from store.factories_flows import pod, record


def _object(kind: str, namespace: str | None, name: str, **body: object) -> dict[str, object]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "apps/v1" if kind == "Deployment" else "v1", "kind": kind, "metadata": metadata, **body}


def _pod(namespace: str, app: str, n: int, ip: str, node: str) -> dict[str, object]:
    pod = _object(
        "Pod",
        namespace,
        f"{app}-5d9c-{n}",
        spec={"nodeName": node, "containers": [{"name": "c", "image": "i"}]},
        status={"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
    )
    metadata = pod["metadata"]
    assert isinstance(metadata, dict)
    metadata |= {
        "uid": f"uid-{app}-{n}",
        "labels": {"app": app},
        "ownerReferences": [
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": f"{app}-5d9c",
                "uid": f"rs-{app}",
                "controller": True,
            }
        ],
    }
    return pod


def _replica_set(namespace: str, app: str) -> dict[str, object]:
    made = _deployment(namespace, app) | {"kind": "ReplicaSet"}
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": app, "uid": f"d-{app}", "controller": True}
    made["metadata"] = {"name": f"{app}-5d9c", "namespace": namespace, "uid": f"rs-{app}", "ownerReferences": [owner]}
    return made


def _deployment(namespace: str, app: str) -> dict[str, object]:
    template = {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return _object("Deployment", namespace, app, spec={"selector": {"matchLabels": {"app": app}}, "template": template})


OBJECTS = [
    _object("Namespace", None, "ui"),
    _object("Namespace", None, "carts"),
    *(
        _object("Node", None, f"node-{n}", status={"addresses": [{"type": "InternalIP", "address": f"192.168.0.{i}"}]})
        for i, n in enumerate("ab", 1)
    ),
    _deployment("ui", "ui"),
    _deployment("carts", "carts"),
    _replica_set("ui", "ui"),
    _replica_set("carts", "carts"),
    _pod("ui", "ui", 1, "10.0.0.1", "node-a"),
    _pod("ui", "ui", 2, "10.0.0.2", "node-b"),
    _pod("carts", "carts", 1, "10.0.1.1", "node-b"),
    _object(
        "Service",
        "carts",
        "carts",
        spec={"clusterIP": "10.96.0.1", "selector": {"app": "carts"}, "ports": [{"port": 80, "targetPort": 8080}]},
    ),
]


def manifests(folder: Path) -> Path:
    folder.mkdir()
    (folder / "cluster.yaml").write_text(yaml.safe_dump_all(OBJECTS))
    return folder


def send(server: RunningServer, seq: int, rows: list[dict[str, object]], node: str = "node-a") -> None:
    rows = [row | {"node": node} for row in rows]
    answer = server.client(node).post(batch(seq, rows, node=node))
    assert answer.outcome is Outcome.ACKNOWLEDGED, answer


def between(src: str, dst: str, **values: object) -> dict[str, object]:
    """A record as an agent sends it: addresses only."""
    return record(pod("src", "", "", ip=src), pod("dst", "", "", ip=dst), at=AT, **values)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Two ui pods ask carts through its Service, both ends report; one asks S3, one an unknown host on the internet."""
    folder = tmp_path_factory.mktemp("server")
    with RunningServer(folder, "--manifests", str(manifests(folder / "manifests"))) as server:
        via = {"service_ip": "10.96.0.1", "service_port": 80}
        first = between("10.0.0.1", "10.0.1.1", pod_uid="uid-ui-1", bytes_forward=2_000_000, **via)
        second = between("10.0.0.2", "10.0.1.1", pod_uid="uid-ui-2", **via)
        mirrored = [row | {"reporter": "server", "service_ip": None, "service_port": None} for row in (first, second)]
        s3 = between("10.0.0.1", "52.216.1.1", pod_uid="uid-ui-1", dst_port=443)
        web = between("10.0.0.2", "93.184.216.34", pod_uid="uid-ui-2", dst_port=443)
        for row in (first, second, s3, web):
            row["service_ip"] = _address(row["service_ip"])
        send(server, 0, [first, s3], "node-a")
        send(server, 0, [second, web, *(row | {"pod_uid": "uid-carts-1"} for row in mirrored)], "node-b")
        yield server


def _address(value: object) -> object:
    from eastwest.model.flow import ip_bytes

    return ip_bytes(value) if isinstance(value, str) else value
