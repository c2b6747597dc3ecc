"""Puts a whole cluster in mode enforce, and waits until what was changed in it is in force (docs/enforcement.md, the status)."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

from eastwest.cli._stack import Stack, StackError
from eastwest.lab.state import LabError

_SECONDS: Final = 15.0
_PAUSE_S: Final = 0.01


def enforce_everything(stack: Stack) -> None:
    """Every namespace, both directions. Raises StackError."""
    url = f"{stack.url}/api/v1/enforcement/namespaces/*"
    answer = httpx.put(url, json={"mode": "enforce"}, timeout=30, trust_env=False)
    if answer.status_code != 200:
        raise StackError(f"PUT {url} answered {answer.status_code}: {answer.text}")


class InForce:
    """Call with a time (ns): returns when every change up to it is in force on every node.

    Raises LabError at the deadline, or when the server refuses what the cluster says; StackError when a part has died.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def __call__(self, changed_ns: int) -> None:
        deadline = time.monotonic() + _SECONDS
        while missing := not_in_force(self._stack.get("/api/v1/enforcement"), changed_ns):
            self._stack.check()
            if time.monotonic() > deadline:
                raise LabError(f"not in force after {_SECONDS:.0f} s: {'; '.join(missing)}")
            time.sleep(_PAUSE_S)


def not_in_force(status: dict[str, Any], changed_ns: int) -> list[str]:
    """What is still missing, in words; empty when all is in force. Raises LabError when it never will be."""
    if status["trouble"] is not None:
        raise LabError(f"refused: {status['trouble']['message']}")
    if status["inventory_ns"] < changed_ns:
        return ["the server has not taken the change into account"]
    late = [
        f"{node['node']} has version {node['realised_version']} of {node['version']}"
        for node in status["nodes"]
        if node["realised_version"] != node["version"]
    ]
    waiting = [
        f"{p['namespace']}/{p['name']} {p['direction']}: {p['reason']}" for n in status["nodes"] for p in n["missing"]
    ]
    return late + waiting
