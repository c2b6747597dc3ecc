"""A blocking client of a lab's control socket, for commands and tests."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from eastwest.lab.state import LabError


def call(path: Path, method: str, *, timeout_s: float | None = 120.0, **params: Any) -> Any:
    """Ask one question. Raises LabError with the lab's words, or when nobody answers."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        try:
            sock.connect(str(path))
            sock.sendall(json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n")
            with sock.makefile("rb") as lines:
                line = lines.readline()
        except TimeoutError as error:
            raise LabError(f"the lab did not answer {method!r} in {timeout_s:g} s") from error
        except OSError as error:
            raise LabError(f"the lab is not running ({error.strerror or error})") from error
    if not line:
        raise LabError(f"the lab ended while it was asked for {method!r}")
    answer = json.loads(line)
    if "error" in answer:
        raise LabError(answer["error"])
    return answer.get("result")
