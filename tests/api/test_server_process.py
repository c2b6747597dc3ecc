"""The server as a process: its data directory, its sockets, its token, its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx

from api.running import RunningServer
from eastwest.api.models.session import Session


def test_a_second_server_names_the_first(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as first:
        second = RunningServer(tmp_path / "other")
        second.data = first.data
        second.start(wait=False)
        assert first.process is not None
        assert second.process is not None
        assert second.process.wait(60) == 2
        message = second.log.read_text()
        assert f"eastwest server (pid {first.process.pid})" in message
        assert "--data" in message
        assert "Traceback" not in message


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as first:
        second = RunningServer(tmp_path / "other")
        second.port = first.port
        second.start(wait=False)
        assert second.process is not None
        assert second.process.wait(60) == 2
        assert "choose another with --listen" in second.log.read_text()


def test_ctrl_c_cleans_up_even_while_a_browser_listens(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        store = server.store_pid()
        with httpx.stream("GET", f"{server.url}/api/v1/events", timeout=30, trust_env=False) as events:
            lines = events.iter_lines()
            next(lines)
            assert server.stop() == 0
        assert not server.socket.exists()
        assert store is not None
        assert not Path(f"/proc/{store}").exists()
        log = server.log.read_text()
        assert "Traceback" not in log
        assert "ERROR" not in log


def test_with_a_token_everything_but_health_and_the_console_asks_for_it(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    with RunningServer(tmp_path, "--token-file", str(token_file)) as server:
        token = token_file.read_text().strip()
        assert token_file.stat().st_mode & 0o777 == 0o600
        assert token not in server.log.read_text()
        assert "--token-file" in server.log.read_text()
        assert server.get("/map").status_code == 200
        for path in ("/api/v1/service-map", "/api/v1/events", "/api/v1/metrics"):
            answer = server.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
            assert client.get("/api/v1/service-map", headers={"Authorization": "Bearer wrong"}).status_code == 401
            good = {"Authorization": f"Bearer {token}"}
            assert client.get("/api/v1/service-map", headers=good).status_code == 200
            assert client.get("/api/v1/session").json() == {"token_required": True, "signed_in": False}
            assert client.post("/api/v1/session", json={"token": "wrong"}).status_code == 401
            signed = client.post("/api/v1/session", json={"token": token})
            assert Session.model_validate(signed.json()).signed_in
            cookie = signed.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
            assert token not in cookie
            assert client.get("/api/v1/service-map").status_code == 200
            assert client.get("/api/v1/session").json()["signed_in"]


def test_without_a_token_only_this_machines_names_are_answered(tmp_path: Path) -> None:
    with RunningServer(tmp_path) as server:
        stranger = {"Host": "evil.example"}
        answer = httpx.get(f"{server.url}/api/v1/service-map", headers=stranger, trust_env=False)
        assert answer.status_code == 403
        local = {"Host": f"localhost:{server.port}"}
        assert (
            httpx.get(f"{server.url}/api/v1/service-map", headers=local, timeout=30, trust_env=False).status_code == 200
        )


def test_the_token_command(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "eastwest", "server", "token", "--cluster", "c1", "--data", str(tmp_path)]
    first, again, other = (
        subprocess.run([*argv, "--node", node], check=True, capture_output=True, text=True).stdout
        for node in ("node-a", "node-a", "node-b")
    )
    assert len(first.strip()) == 64
    assert first == again != other
    bad = subprocess.run([*argv, "--node", "a/b"], check=False, capture_output=True, text=True)
    assert bad.returncode == 2
    assert "without a slash" in bad.stderr
