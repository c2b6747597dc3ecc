"""Waits until what was changed in a cluster is in force on every node (docs/enforcement.md, the status)."""

from __future__ import annotations

from typing import Any, Final

from eastwest.cli._stack import Stack

_SECONDS: Final = 15.0


class InForce:
    """Call with a time (ns): returns when every change up to it is in force. Raises StackError at the deadline."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def __call__(self, changed_ns: int) -> None:
        missing: list[str] = []

        def done() -> bool:
            missing[:] = not_in_force(self._stack.get("/api/v1/enforcement"), changed_ns)
            return not missing

        self._stack.wait_for("changes to be in force", done, _SECONDS)


def not_in_force(status: dict[str, Any], changed_ns: int) -> list[str]:
    """What is still missing, in words; empty when all is in force."""
    if (status["inventory_ns"] or 0) < changed_ns:
        return ["the server has not seen the change"]
    return [
        f"{node['node']} has version {node['realised_version']} of {node['version']}"
        for node in status["nodes"]
        if node["realised_version"] != node["version"] or node["missing"]
    ]
