"""Tokens are in no log at any level, in no command line, metric, error, spool or answer: server, agent and CNI plugin, really run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from agent.netlab import CALL, Node, Pod, node
from api.running import RunningServer, eventually
from deploy.relay import Relay
from eastwest.cli import cni
from eastwest.runtime.tokens import agent_token, load_secret

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]
LOUD = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
logging.getLogger("noise").debug("everything is logged")
"""
WRONG = "a-wrong-token-that-somebody-typed"
PORT = 7421


@contextmanager
def agent(net: Node, server: RunningServer, folder: Path, name: str, token: str) -> Iterator[subprocess.Popen[bytes]]:
    home = folder / name
    home.mkdir()
    (home / "token").write_text(token + "\n")
    (home / "state").mkdir()
    argv = ["nsenter", f"--net=/run/netns/{net.netns}", sys.executable, "-m", "eastwest", "agent", "--tick", "0.2"]
    argv += ["--node", "node-a", "--cluster", "c1", "--token-file", str(home / "token"), "--cgroup", str(net.tree)]
    argv += ["--server", f"unix:{server.socket}", "--listen", f"127.0.0.1:{PORT}", "--spool", str(home / "spool")]
    argv += ["--enforce", "--state", str(home / "state"), "--cni-socket", str(home / "cni.sock")]
    argv += ["--policy-log", str(home / "policy.log"), "--policy-log-verdicts", "all"]
    with (home / "agent.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        eventually("the agent to record", lambda: "recording" in (home / "agent.log").read_text())
        yield process
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def page(relay: Relay) -> str:
    return httpx.get(f"http://{relay.address}/metrics", timeout=30, trust_env=False).text


def plugin(pod: Pod, folder: Path) -> str:
    """What `eastwest-cni` says and writes when a pod is added."""
    config = {"cniVersion": "1.0.0", "name": "n", "type": cni.PLUGIN, "socket": str(folder / "cni.sock"),
              "onTimeout": "proceed", "timeoutSeconds": 0.5, "prevResult": {"cniVersion": "1.0.0", "ips": []}}  # fmt: skip
    words = {"CNI_COMMAND": "ADD", "CNI_NETNS": f"/run/netns/{pod.netns}", "CNI_ARGS": f"K8S_POD_UID={pod.uid}"}
    done = subprocess.run([sys.executable, cni.__file__], input=json.dumps(config), env=os.environ | words,
                          capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    return done.stdout + done.stderr


def test_no_token_is_anywhere_but_in_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud" / "sitecustomize.py").write_text(LOUD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "loud"))
    api_file = tmp_path / "api-token"
    with node() as net, RunningServer(tmp_path / "server", "--token-file", str(api_file)) as server:
        api, secret = api_file.read_text().strip(), load_secret(server.data)
        node_token = agent_token(secret, "c1", "node-a")
        a, b = net.pod("a"), net.pod("b")
        b.server(8080)
        relay = Relay(Path(f"/var/run/netns/{net.netns}"), ("127.0.0.1", PORT))
        seen: list[str] = []  # what else was said
        with agent(net, server, tmp_path, "refused", WRONG) as process:
            refused = tmp_path / "refused" / "agent.log"
            eventually("the server to refuse", lambda: "401" in refused.read_text() or "token" in refused.read_text())
            seen += [page(relay), Path(f"/proc/{process.pid}/cmdline").read_text()]
        headers = {"Authorization": f"Bearer {api}"}
        with agent(net, server, tmp_path, "good", node_token) as process:
            a.run(CALL.format(host=b.ipv4, port=8080, size=1000))
            seen += [plugin(b, tmp_path / "good"), page(relay), Path(f"/proc/{process.pid}/cmdline").read_text()]

            def flows() -> bool:
                answer = httpx.get(
                    f"{server.url}/api/v1/flows", params={"window": "5m"}, headers=headers, timeout=60, trust_env=False
                )
                seen.append(answer.text)
                return "8080" in answer.text

            eventually("the connection in the table", flows)
        with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
            for given in (api, WRONG, node_token):
                for answer in (
                    client.get("/api/v1/coverage", headers={"Authorization": f"Bearer {given}"}),
                    client.get("/api/v1/nothing", headers={"Authorization": f"Bearer {given}"}),
                    client.post("/api/v1/session", json={"token": given}),
                    client.get("/metrics", headers={"Authorization": f"Bearer {given}"}),
                ):
                    seen.append(answer.text)
        cookie = client.cookies.get("eastwest_session") or next(iter(client.cookies.values()))
        assert server.process is not None
        seen.append(Path(f"/proc/{server.process.pid}/cmdline").read_text())
        relay.close()
        server.stop()
        logs = {
            path: path.read_bytes().decode(errors="replace") for path in [server.log, *tmp_path.glob("*/agent.log")]
        }
        assert len(logs) == 3
        for path, text in logs.items():
            assert "everything is logged" in text, path
        kept = [file for folder in ("spool", "state", ".") for file in (tmp_path / "good" / folder).iterdir()]
        seen += [f.read_bytes().decode(errors="replace") for f in kept if f.is_file() and f.name != "token"]
    for name, token in {
        "api": api,
        "node": node_token,
        "wrong": WRONG,
        "secret": secret.hex(),
        "cookie": cookie,
    }.items():
        assert len(token) > 20
        for text in (*logs.values(), *seen):
            at = text.find(token)
            assert at < 0, f"{name}: …{text[max(0, at - 200) : at]}"
