"""The last good plan of this node on disk, so that a server out of reach changes nothing, also across a restart."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Final

from eastwest.model.plan import NodePlan
from eastwest.wire.plan import PlanError, decode, encode

log = logging.getLogger("eastwest.agent")
FILE: Final = "plan"


class PlanFile:
    """One file in `folder`, replaced as a whole, readable by its owner alone. One writer."""

    def __init__(self, folder: Path, node: str) -> None:
        self._path, self._node = folder / FILE, node

    def load(self) -> NodePlan | None:
        """The plan that was kept; None when there is none of this node that can be read, and the log says why."""
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.error("the kept plan cannot be read, starting without: %s", error)
            return None
        try:
            plan = decode(raw)
        except PlanError as error:
            log.error("%s is not usable, starting without: %s", self._path, error)
            return None
        if plan.node != self._node:
            log.error("%s is the plan of node %r, starting without", self._path, plan.node)
            return None
        return plan

    def save(self, plan: NodePlan) -> None:
        """Durable when this returns. Raises OSError; then the old one is still there."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._path.with_name(f".{FILE}.{os.getpid()}")
        try:
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(encode(plan))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self._path)  # noqa: PTH105 - as the rest here
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
