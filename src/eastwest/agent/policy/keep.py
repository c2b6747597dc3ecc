"""What must survive a restart, on disk: the last good plan, and whose interfaces are that only a CNI plugin knew."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from eastwest.agent.policy.local import Announced
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
        _replace(self._path, encode(plan))


class AnnouncedFile:
    """Interface index -> the pod that a CNI plugin told, of one network namespace since its boot. One writer."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "announced.json"

    def load(self) -> dict[int, Announced]:
        """What was kept since this boot, in this namespace; empty when nothing was, or when it cannot be read."""
        try:
            value = json.loads(self._path.read_bytes())
            if value["of"] != _place():
                return {}
            return {int(i): Announced(uid, ns, name, tuple(a)) for i, (uid, ns, name, a) in value["pods"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("%s is not usable, starting without: %s", self._path, error)
            return {}

    def save(self, pods: Mapping[int, Announced]) -> None:
        """Raises OSError; then the old one is still there."""
        words = {str(i): [p.uid, p.namespace, p.name, list(p.addresses)] for i, p in pods.items()}
        _replace(self._path, json.dumps({"of": _place(), "pods": words}).encode())


def _place() -> list[str]:
    """Interface indices mean something in this network namespace and boot only."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return [boot, str(Path("/proc/thread-self/ns/net").stat().st_ino)]


def _replace(path: Path, content: bytes) -> None:
    """Durable when this returns. Raises OSError; then the old content is still there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
