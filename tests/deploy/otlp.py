"""A real OTLP receiver in a process of its own, and what it got."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


class Receiver:
    """Runs until `stop`; `answers` as in otlp_receiver."""

    def __init__(self, file: Path, *answers: str) -> None:
        argv = [sys.executable, str(Path(__file__).parent / "otlp_receiver.py"), str(file), *answers]
        self._file, self._process = file, subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def got(self, signal: str) -> list[dict[str, Any]]:
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [m["message"] for m in map(json.loads, lines) if m["path"] == f"/v1/{signal}"]

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process.terminate()
        self._process.wait()


def attributes(entry: dict[str, Any]) -> dict[str, Any]:
    return {a["key"]: next(iter(a["value"].values())) for a in entry.get("attributes", [])}
