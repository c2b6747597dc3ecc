"""Builds what a wheel ships but the repository does not hold: BPF objects and the web console."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Build(BuildHookInterface):  # type: ignore[type-arg]
    """Runs `make bpf web` before a real wheel; an editable install uses what `make` built in the tree."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if version == "editable":
            return
        subprocess.run(["make", "bpf", "web"], cwd=Path(self.root), check=True)
