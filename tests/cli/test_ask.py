"""The terminal commands against a real server that plays the shipped recording."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from eastwest.cli import demo
from eastwest.cli.main import COMMANDS, main


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("wb")
    argv = [sys.executable, "-m", "eastwest", "server", "--bundle", str(demo.recording()), "--listen"]
    server = subprocess.Popen([*argv, f"127.0.0.1:{port}"], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    try:
        while not _answers(address):
            assert server.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()
        log.close()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def test_map_is_plain_in_a_pipe_and_says_that_it_is_recorded(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--server", url, "-n", "orders"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t")[:3] == ["FROM", "TO", "PORT"]
    assert any(line.startswith("checkout/checkout\torders/orders\tTCP 8080\torders:80\t") for line in lines)
    assert "\x1b" not in "".join(lines)
    assert lines[-1].startswith("# recorded")


def test_json_is_the_apis_answer(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--server", url, "--json", "--level", "pod"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == httpx.get(f"{url}/api/v1/service-map?level=pod", trust_env=False).json()
    assert answer["window"]["recorded"]


def test_flows_filters_sorts_and_pages(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ["flows", "--server", url, "--json", "--limit", "3", "--sort", "connections", "dst_namespace=orders"]
    assert main(ask) == 0
    first = json.loads(capsys.readouterr().out)
    opened = [row["connections"] for row in first["rows"]]
    assert opened == sorted(opened, reverse=True)
    assert {row["dst_namespace"] for row in first["rows"]} == {"orders"}
    assert main([*ask, "--cursor", first["next_cursor"]]) == 0
    second = json.loads(capsys.readouterr().out)
    assert not [row for row in second["rows"] if row in first["rows"]]


@pytest.mark.parametrize(
    "words", [["map", "--columns", "cost"], ["flows", "--columns", "cost"], ["top", "--by", "cost"], ["costs"]]
)
def test_cost_is_shown_with_the_date_of_its_prices(
    url: str, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main([*words, "--server", url]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = lines[0].split("\t")
    assert {"COST", "NOT PRICED"} <= set(heads)
    assert any("'example prices' of 2026-11-22" in line for line in lines if line.startswith("#"))
    for row in (dict(zip(heads, line.split("\t"), strict=True)) for line in lines[1:] if not line.startswith("#")):
        assert (row["COST"] in ("", "–") or row["COST"].startswith("≥")) == bool(row["NOT PRICED"]), row


def test_a_bad_price_table_stops_the_server_before_it_starts(tmp_path: Path) -> None:
    file, data = tmp_path / "prices.json", tmp_path / "data"
    file.write_text("{}")
    argv = [sys.executable, "-m", "eastwest", "server", "--prices", str(file), "--data", str(data)]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "prices.json: default: expected an object of rates" in ended.stderr
    assert not data.exists()


def test_aws_is_named(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flows", "--server", url, "--view", "aws"]) == 0
    out = capsys.readouterr().out
    assert "S3 us-east-1" in out
    assert "DYNAMODB us-east-1" in out


def test_a_filter_error_points_at_the_character(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flows", "--server", url, "dst_port=80 and dst_prot=6"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "dst_prot" in lines[0]
    assert lines[1].index("dst_prot") == lines[2].index("^")


def test_top_and_coverage(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "workload", "--server", url, "--json", "--limit", "2"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) == 2
    assert rows[0]["bytes"] >= rows[1]["bytes"] > 0
    assert main(["coverage", "--server", url]) == 0
    assert "Complete" in capsys.readouterr().out
    for by in ("pod", "window"):
        assert main(["coverage", "--server", url, "--by", by]) == 0
    assert main(["coverage", "--server", url, "--fail-under", "1.1"]) == 1


def test_a_recording_of_the_recording_opens_again(url: str, tmp_path: Path) -> None:
    target = tmp_path / "evidence"
    assert main(["record", "--server", url, "-o", str(target)]) == 0
    assert {p.name for p in target.iterdir()} >= {"bundle.json", "flows.parquet", "cluster", "coverage.json"}
    assert main(["record", "--server", url, "-o", str(target)]) == 2, "it must not replace what is there"
    assert main(["record", "--server", url, "-o", str(tmp_path / "again.zip")]) == 0
    assert "flows.parquet" in zipfile.ZipFile(tmp_path / "again.zip").namelist()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.zip", "evidence"]


def test_record_answers_in_json_and_is_silent_in_a_pipe(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "again.zip"
    assert main(["record", "--server", url, "-o", str(target), "--json"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"output": str(target)}, "")


def test_no_server_is_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", "--server", "http://127.0.0.1:9"]) == 2
    assert "eastwest server" in capsys.readouterr().err


def test_every_command_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as end:
            main([command, "--help"])
        assert end.value.code == 0
        assert "example" in capsys.readouterr().out.lower(), command


def test_the_demo_says_why_it_cannot_be_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "root" in str(demo.why_not_real())
