"""Undoing what an agent that is gone left in the kernel."""

from __future__ import annotations

from pathlib import Path

from eastwest.agent.bpffs import PinFolder


def release(folder: Path) -> list[str]:
    """Remove every pin of a folder, and the folder; what nobody else uses ends with its pin. Returns their names.

    Raises PinError when an agent is using it, OSError.
    """
    pins = PinFolder(folder, wait_s=0.0)
    try:
        return pins.clear()
    finally:
        pins.close()
