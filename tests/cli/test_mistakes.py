"""What people get wrong at a terminal is said in a line or two, with what to do; nothing is started for it, no traceback."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eastwest.cli import demo
from eastwest.cli.main import main


class Guarded(http.server.BaseHTTPRequestHandler):
    """A server that takes no token."""

    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Other(http.server.BaseHTTPRequestHandler):
    """Somebody else's web server."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>it works</html>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def unused() -> Iterator[str]:
    """An address that is taken and never answers a connection: bound, not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Standard error of a command that ends with 2 and prints nothing else."""
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    return err


@pytest.mark.parametrize("server", ["http://127.0.0.1:bad", "ftp://127.0.0.1"])
def test_an_address_that_is_none(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected http(s)://HOST:PORT or unix:PATH" in said(capsys, "map", "--server", server)


def test_somebody_elses_server(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Other) as address:
        assert "is no eastwest server" in said(capsys, "map", "--server", address)


def test_no_token_and_a_wrong_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("wrong")
    monkeypatch.delenv("EASTWEST_TOKEN", raising=False)
    with serving(Guarded) as address:
        ask = ("map", "--server", address)
        assert "wants a token: pass --token-file" in said(capsys, *ask)
        assert f"the token of --token-file {tmp_path}/token" in said(capsys, *ask, "--token-file", f"{tmp_path}/token")
        monkeypatch.setenv("EASTWEST_TOKEN", "wrong")
        assert "the token of EASTWEST_TOKEN" in said(capsys, *ask)


def test_nobody_answers(unused: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All commands say it in the same words, without the number of an error, and a pipe gets one line."""
    ask = ("--server", f"http://{unused}")
    lines = {
        said(capsys, *command, *ask).removeprefix("eastwest: ").removeprefix("error: ")
        for command in (
            ("map",),
            ("record", "-o", str(tmp_path / "e")),
            ("policy", "generate", "-o", str(tmp_path / "p")),
        )
    }
    assert len(lines) == 1
    assert lines.pop().startswith(f"no server at http://{unused} (Connection refused); start one with")


def test_a_policy_subcommand_without_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    err = said(capsys, "policy", "explain")
    assert "SOURCE, DIR" in err
    assert "eastwest policy explain --help has examples" in err
    assert "usage:" not in err


def test_a_target_without_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    err = said(capsys, "policy", "check", "shop/ui", "shop/orders", ".")
    assert err == "error: 'shop/orders': expected TARGET:PORT/PROTO, for example shop/orders:8080/TCP\n"


def test_a_file_that_is_no_manifest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.yaml").write_text("**not yaml**\n")
    assert main(["policy", "lint", str(tmp_path)]) == 2
    out = capsys.readouterr().out
    assert "invalid: not YAML" in out
    assert "leave it out of the folder" in out
    assert out.endswith("1 finding in 1 file\n")


def test_an_agent_without_a_token_is_told_where_one_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    err = said(capsys, "agent", "--node", "n1", "--cluster", "prod", "--token-file", "/nowhere/token")
    assert "eastwest server token --cluster prod --node n1" in err


def test_the_demo_starts_nothing_for_arguments_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "why_not_real", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for story in ((), ("--story",)):
            assert "scenarios are" in said(capsys, "demo", "--scenario", "nope", *story)
            assert "expected HOST:PORT" in said(capsys, "demo", "--listen", "banana", *story)
            assert "Address already in use" in said(capsys, "demo", "--listen", address, *story)


@pytest.mark.root
def test_a_second_demo_of_a_name_leaves_the_first_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from eastwest.lab.runtime import Lab

    name = f"twice{os.getpid() % 100000}"
    lab = Lab.up([], name, nodes=1)
    try:
        assert main(["demo", "--name", name, "--listen", "127.0.0.1:0"]) == 2
        assert name in capsys.readouterr().out
        assert [node.name for node in Lab.load(name).nodes] == [node.name for node in lab.nodes]
    finally:
        lab.down()
