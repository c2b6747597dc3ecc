"""`policy generate` and `policy replay` on bundles: from records to policies in a folder, and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from eastwest.cli.main import main
from eastwest.model.flow import ip_bytes
from eastwest.wire.bundle import Bundle, write

SECOND = 1_000_000_000
UI, ORDERS, DB, DNS, NODE = "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "192.168.0.1"


def workload(name: str, ip: str, *, kind: str = "Deployment", namespace: str = "shop") -> str:
    return f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: {name}-0, namespace: {namespace}, uid: uid-{name}, labels: {{app: {name}, pod-template-hash: "1"}},
  ownerReferences: [{{kind: {kind}, name: {name}, controller: true}}]}}
spec: {{nodeName: n1}}
status: {{phase: Running, podIPs: [{{ip: {ip}}}]}}
"""


CLUSTER = "---".join(
    [
        workload("ui", UI),
        workload("orders", ORDERS),
        workload("db", DB, kind="StatefulSet"),
        workload("coredns", DNS, namespace="kube-system"),
        f"\napiVersion: v1\nkind: Node\nmetadata: {{name: n1}}\nstatus: {{addresses: [{{type: InternalIP, address: {NODE}}}]}}\n",
    ]
)
COMPLETE = {"complete": True, "nodes": [{"node": "n1", "state": "reporting", "lost": {}, "gaps_ns": []}]}


def flow(src: str, dst: str, port: int, protocol: int = 6, connections: int = 3, answer: int = 900) -> dict[str, Any]:
    return {
        "src_ip": ip_bytes(src), "dst_ip": ip_bytes(dst), "protocol": protocol, "dst_port": port,
        "first_seen_ns": 10 * SECOND, "last_seen_ns": 20 * SECOND, "connections": connections,
        "bytes_forward": 1000 * connections, "bytes_reverse": answer,
    }  # fmt: skip


FLOWS = [
    flow(UI, ORDERS, 8080), flow(ORDERS, DB, 5432), flow(UI, DNS, 53, 17), flow(ORDERS, DNS, 53, 17),
    flow(ORDERS, "52.217.10.14", 443), flow(NODE, UI, 8080), flow(UI, DB, 22, answer=0),
]  # fmt: skip


def bundle(path: Path, flows: list[dict[str, Any]], coverage: Any = COMPLETE, cluster: str = CLUSTER) -> Path:
    table = pa.Table.from_pylist(flows)
    for name in ("src_ip", "dst_ip"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.binary(16)))
    write(path, Bundle(0, 100 * SECOND, table, {"all.yaml": cluster}, coverage))
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return bundle(tmp_path / "b.zip", FLOWS)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_from_a_recording_to_policies_and_back(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["policy", "generate", "--evidence", str(recording), "-o", str(out)]) == 0
    assert sorted(contents(out)) == [
        "kube-system/coredns.yaml", "kube-system/default-deny.yaml", "kube-system/kustomization.yaml", "shop/db.yaml",
        "shop/default-deny.yaml", "shop/kustomization.yaml", "shop/orders.yaml", "shop/ui.yaml",
    ]  # fmt: skip
    text = (out / "shop/orders.yaml").read_text()
    assert "port: 5432" in text
    assert "cidr: 52.217.10.14/32" in text
    assert "pod-template-hash" not in text
    summary = capsys.readouterr().out
    assert "nobody answered" in summary
    assert "dns-tcp 4" in summary
    assert main(["policy", "replay", "--policies", str(out), "--evidence", str(recording), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["flows"] == len(FLOWS)
    assert answer["denied"] == []
    assert {u["reason"] for u in answer["unused"]} == {"dns-tcp"}
    assert [a["dst_port"] for a in answer["attempts"]] == [22]


def test_a_namespace_that_is_not_there_is_said(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["policy", "generate", "--evidence", str(recording), "-o", str(tmp_path / "out")]
    assert main([*words, "-n", "shpo"]) == 2
    assert "no namespace 'shpo' in this evidence; there are kube-system, shop" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_policies_are_written_before_a_word_of_them(recording: Path, tmp_path: Path) -> None:
    """`| head -1` ends the pipe while the summary is printed."""
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "eastwest", "policy", "generate", "--evidence", str(recording), "-o", str(out)]
    read, written = os.pipe()
    os.close(read)
    with os.fdopen(written, "wb") as pipe:
        subprocess.run(argv, stdout=pipe, stderr=subprocess.DEVNULL, check=False)
    assert (out / "shop/orders.yaml").exists()


def test_the_same_evidence_in_any_order_gives_the_same_bytes(recording: Path, tmp_path: Path) -> None:
    turned = bundle(tmp_path / "turned", FLOWS[::-1] + FLOWS[:1])
    same = bundle(tmp_path / "same", FLOWS[:1] + FLOWS)
    for path, name in ((turned, "one"), (same, "two")):
        assert main(["policy", "generate", "--evidence", str(path), "-o", str(tmp_path / name)]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_held_out_window_names_what_is_missing(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["policy", "generate", "--evidence", str(recording), "-o", str(tmp_path / "out")])
    later = bundle(tmp_path / "later", [*FLOWS, flow(UI, DB, 5432, connections=5)])
    capsys.readouterr()
    args = ["policy", "replay", "--policies", str(tmp_path / "out"), "--evidence", str(later)]
    assert main([*args, "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["denied"]
    assert (row["src"], row["dst"], row["protocol"], row["dst_port"], row["connections"]) == (
        "shop/ui[Deployment]", "shop/db[StatefulSet]", "TCP", 5432, 5,
    )  # fmt: skip
    (tmp_path / "out/fix.yaml").write_text(row["missing_rule"])
    assert main(args) == 0


@pytest.mark.parametrize(
    ("coverage", "words"),
    [
        (None, "no coverage.json"),
        ({"complete": False, "sentences": ["node n1 was silent"], "nodes": []}, "node n1 was silent"),
        ({"complete": False, "nodes": [{"node": "n1", "state": "silent"}]}, "node n1 is silent"),
        ({"nodes": [{"node": "n1", "lost": {"map_full": {"packets": 5, "bytes": 9}}}]}, "lost 5 packets (map_full)"),
        ({"nodes": [{"node": "n2"}]}, "node n1 never reported"),
    ],
)
def test_incomplete_coverage_is_refused(
    coverage: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = bundle(tmp_path / "b", FLOWS, coverage)
    args = ["policy", "generate", "--evidence", str(path), "-o", str(tmp_path / "out")]
    assert main(args) == 1
    assert words in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert main([*args, "--accept-gaps"]) == 0


def test_policies_of_workloads_that_are_gone_are_removed_and_nothing_else(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ["policy", "generate", "--evidence", str(recording), "-o", str(out)]
    assert main(args) == 0
    (out / "shop/gone.yaml").write_text((out / "shop/ui.yaml").read_text())
    (out / "shop/mine.yaml").write_text("kind: NetworkPolicy\n")
    assert main(args) == 0
    assert not (out / "shop/gone.yaml").exists()
    assert (out / "shop/mine.yaml").exists()


def test_reports_of_both_ends_are_one_connection(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [{**flow(UI, ORDERS, 8080, connections=n), "reporter": who} for who, n in (("client", 7), ("server", 5))]
    path = bundle(tmp_path / "b", both)
    main(["policy", "generate", "--evidence", str(path), "-o", str(tmp_path / "out"), "--json"])
    rules = json.loads(capsys.readouterr().out)["policies"]["shop/ui"]
    assert [r["connections"] for r in rules] == [7]


def test_records_whose_beginner_is_unknown_make_no_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = bundle(
        tmp_path / "b",
        [{**flow(ORDERS, UI, 40_321), "reporter": "unknown"}, {**flow(UI, ORDERS, 80), "reporter": "client"}],
    )
    main(["policy", "generate", "--evidence", str(path), "-o", str(tmp_path / "out"), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert [(o["dst_port"], o["reason"]) for o in answer["left_out"]] == [(40_321, "it is not known who began")]
    assert list(answer["policies"]) == ["shop/orders", "shop/ui"]


def test_input_that_is_no_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "generate", "--evidence", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    assert "bundle.json is missing" in capsys.readouterr().err
    assert main(["policy", "replay", "--policies", str(tmp_path / "none"), "--evidence", str(tmp_path)]) == 2
