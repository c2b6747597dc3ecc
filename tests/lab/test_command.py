"""`eastwest lab`: exit codes, JSON, and messages a person can act on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eastwest.cli.main import main
from eastwest.lab.runtime import Lab

pytestmark = pytest.mark.root


def run(lab: Lab, action: str, *words: str) -> int:
    return main(["lab", action, "--name", lab.files.name, *words])


def test_probe_exits_0_1_or_2(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lab, "probe", "shop/client", "svc:shop/web:80/TCP", "--family", "6", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["reachable"], answer["reason"], answer["family"], answer["protocol"]) == (True, None, 6, "TCP")
    assert run(lab, "probe", "shop/client", "shop/web:9/udp") == 1
    assert "refused" in capsys.readouterr().out
    assert run(lab, "probe", "shop/client", "shop/nobody:80/TCP") == 2
    assert "shop has client, moody, web" in capsys.readouterr().err
    assert run(lab, "probe", "shop/client", "shop/web:80/SCTP") == 1
    assert run(lab, "probe", "shop/client", "shop/web:80/DCCP") == 2


def test_status_is_readable_and_json(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(lab, "status") == 0
    text = capsys.readouterr().out
    assert all(word in text for word in ("node-1", "us-east-1a", "kube-dns", "web"))
    assert run(lab, "status", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["nodes"]) == 3


def test_exec_becomes_the_program(lab: Lab) -> None:
    argv = [
        sys.executable,
        "-m",
        "eastwest",
        "lab",
        "exec",
        "--name",
        lab.files.name,
        "shop/client",
        "--",
        "sh",
        "-c",
        "hostname; exit 7",
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 7, done.stderr
    assert done.stdout.startswith("client-")


def test_apply_and_fault(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = tmp_path / "deny.yaml"
    policy.write_text("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny, namespace: shop}\n"
                      "spec: {podSelector: {}, policyTypes: [Ingress]}\n")  # fmt: skip
    kind = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"  # as `policy generate` writes beside it
    (tmp_path / "kustomization.yaml").write_text(f"{kind}resources: [deny.yaml]\n")
    assert run(lab, "apply", "-f", str(tmp_path), "--wait") == 0
    assert "NetworkPolicy shop/deny" in capsys.readouterr().out
    assert lab.delete("NetworkPolicy", "shop", "deny")
    policy.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: nowhere}\nspec: {}\n")
    assert run(lab, "apply", "-f", str(policy)) == 2
    assert "namespace 'nowhere' does not exist" in capsys.readouterr().err
    assert run(lab, "fault", "shop/web", "--rate", "1mbit") == 0
    assert "at most 1mbit" in capsys.readouterr().out
    assert run(lab, "fault", "shop/web", "--rate", "fast") == 2
    assert run(lab, "fault", "--clear") == 0


def test_a_lab_that_is_not_there(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "status", "--name", "none"]) == 2
    assert "no lab called 'none' is running" in capsys.readouterr().err
    assert main(["lab", "down", "--name", "none"]) == 0
    assert main(["lab", "up", "--name", "none", "no-such-scenario"]) == 2
    assert "scenarios are ecommerce, mobile-core, photo-gallery, retail-store" in capsys.readouterr().err
