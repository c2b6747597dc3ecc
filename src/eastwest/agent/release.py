"""Undoing what an agent that is gone left in the kernel."""

from __future__ import annotations

from pathlib import Path

from eastwest.agent import clsact
from eastwest.agent.bpffs import PinFolder


def release(folder: Path) -> list[str]:
    """Remove every pin of a folder, and the folder; what nobody else uses ends with its pin. Returns their paths.

    Raises PinError when an agent is using it, OSError.
    """
    if not folder.exists():
        return []
    pins = PinFolder(folder, wait_s=0.0)
    try:
        return [str(folder / name) for name in pins.clear()]
    finally:
        pins.close()


def release_filters() -> list[str]:
    """Remove our tc filters from this network namespace's interfaces. Returns which, in words. Raises OSError."""
    found = []
    for ifindex, hooks in clsact.left().items():
        for hook in hooks:
            hook.remove()
            found.append(f"tc filter {hook.side} of interface {ifindex}")
    return found
