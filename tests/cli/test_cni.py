"""The plugin's side of the CNI specification: versions, errors as JSON with a code, and what it refuses to guess."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eastwest.cli import cni

ENVIRONMENT = {"CNI_COMMAND": "ADD", "CNI_NETNS": "/proc/self/ns/net", "CNI_ARGS": "K8S_POD_UID=u1"}
CONFIG: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "n",
    "type": cni.PLUGIN,
    "socket": "/nonexistent/cni.sock",
    "onTimeout": "fail",
    "timeoutSeconds": 0.01,
    "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.5/24"}], "interfaces": []},
}


def call(config: Any, **environment: str) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    text = config if isinstance(config, str) else json.dumps(config)
    code = cni.main({**ENVIRONMENT, **environment}, io.StringIO(text), out)
    return code, json.loads(out.getvalue()) if out.getvalue() else {}


def test_version() -> None:
    code, said = call({"cniVersion": "1.0.0"}, CNI_COMMAND="VERSION")
    assert code == 0
    assert said["supportedVersions"][-1] == said["cniVersion"] == "1.0.0"


@pytest.mark.parametrize(
    ("config", "environment", "code", "words"),
    [
        ("{", {}, cni.NOT_JSON, "not JSON"),
        ("[]", {}, cni.NOT_JSON, "no object"),
        ({**CONFIG, "cniVersion": "9.0.0"}, {}, cni.INCOMPATIBLE, "9.0.0"),
        (CONFIG, {"CNI_COMMAND": "DANCE"}, cni.BAD_ENVIRONMENT, "DANCE"),
        ({**CONFIG, "prevResult": None}, {}, cni.BAD_CONFIG, "no prevResult"),
        ({k: v for k, v in CONFIG.items() if k != "onTimeout"}, {}, cni.BAD_CONFIG, "onTimeout is None"),
        ({**CONFIG, "timeoutSeconds": -1}, {}, cni.BAD_CONFIG, "timeoutSeconds"),
        ({**CONFIG, "waitFor": "luck"}, {}, cni.BAD_CONFIG, "waitFor"),
        (CONFIG, {"CNI_ARGS": "K8S_POD_NAME=x"}, cni.BAD_ENVIRONMENT, "K8S_POD_UID"),
        (CONFIG, {"CNI_NETNS": "/nowhere"}, cni.BAD_ENVIRONMENT, "/nowhere"),
        (CONFIG, {}, cni.TRY_AGAIN, "not decided about yet"),
    ],
)
def test_what_is_wrong_is_said_with_the_code_of_the_specification(
    config: Any, environment: dict[str, str], code: int, words: str
) -> None:
    status, said = call(config, **environment)
    assert status == 1
    assert said["code"] == code
    assert words in said["msg"]
    assert set(said) == {"cniVersion", "code", "msg", "details"}


def test_the_result_before_is_handed_on_when_told_to_proceed() -> None:
    code, said = call({**CONFIG, "onTimeout": "proceed"})
    assert (code, said) == (0, CONFIG["prevResult"])


def test_del_succeeds_without_anybody() -> None:
    assert call({"cniVersion": "1.0.0"}, CNI_COMMAND="DEL", CNI_NETNS="") == (0, {})


def test_it_is_installed_as_a_file_that_loads_the_standard_library_only(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "eastwest", "cni", "--install", str(tmp_path)], check=True, capture_output=True
    )
    done = subprocess.run(
        [tmp_path / cni.PLUGIN], input='{"cniVersion":"1.0.0"}', env={"CNI_COMMAND": "VERSION"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["cniVersion"] == "1.0.0"
    code = f"import runpy, sys; sys.argv=['x']; runpy.run_path({cni.__file__!r}); print([m for m in sys.modules if m.split('.')[0] in ('numpy', 'eastwest', 'nanoarrow')])"
    lean = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert lean.stdout.strip() == "[]"
    timed = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", cni.__file__], input="{}", env={"CNI_COMMAND": "VERSION"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in timed.stderr.splitlines()}
    assert "json" in loaded
    assert not loaded & {"argparse", "pathlib", "shlex", "typing"}, "each is time that every pod waits"


@pytest.mark.parametrize(("policy", "code"), [("fail", 1), ("proceed", 0)])
def test_an_agent_that_takes_the_question_and_never_answers(tmp_path: Path, policy: str, code: int) -> None:
    """Over the installed plugin and a real socket: the pod is held back, or begins, as its operator said."""
    subprocess.run(
        [sys.executable, "-m", "eastwest", "cni", "--install", str(tmp_path)], check=True, capture_output=True
    )
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "deaf.sock"))
        deaf.listen()
        config = {**CONFIG, "socket": str(tmp_path / "deaf.sock"), "onTimeout": policy, "timeoutSeconds": 0.05}
        done = subprocess.run(
            [tmp_path / cni.PLUGIN], input=json.dumps(config), env=ENVIRONMENT, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        asked, _ = deaf.accept()
        with asked:
            question = json.loads(asked.recv(65536))
    said = json.loads(done.stdout)
    assert (done.returncode, question["uid"]) == (code, "u1")
    if policy == "proceed":
        assert said == CONFIG["prevResult"]
        assert "starts although it is not decided about" in done.stderr
    else:
        assert (said["code"], "timed out" in said["details"]) == (cni.TRY_AGAIN, True)
