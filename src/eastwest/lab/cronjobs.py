"""CronJobs: a Job at each time of the schedule, and at `eastwest.lab/first-run` after the start; the last three kept."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, Final

from eastwest.lab.schedule import next_time
from eastwest.lab.watch import Objects, key_of, owner_reference
from eastwest.lab.workload.calls import duration

Json = dict[str, Any]
FIRST_RUN: Final = "eastwest.lab/first-run"
_KEPT: Final = 3


class CronJobs:
    """One waiting task per CronJob."""

    def __init__(self, objects: Objects, changed: Callable[[], None]) -> None:
        self._objects = objects
        self._changed = changed
        self._tasks: dict[str, tuple[str, asyncio.Task[None]]] = {}

    def refresh(self) -> None:
        """Start, restart and end the tasks to match the CronJobs that exist."""
        wanted = {c["metadata"]["uid"]: c for c in self._objects.of("CronJob")}
        for uid, (schedule, task) in list(self._tasks.items()):
            if uid not in wanted or wanted[uid]["spec"]["schedule"] != schedule:
                task.cancel()
                del self._tasks[uid]
        for uid, cronjob in wanted.items():
            if uid not in self._tasks:
                task = asyncio.get_running_loop().create_task(self._wait(cronjob))
                self._tasks[uid] = (cronjob["spec"]["schedule"], task)

    def fire(self, namespace: str, name: str) -> str | None:
        """Make one Job now; its name, or None when there is no such CronJob."""
        cronjob = self._objects.get("CronJob", namespace, name)
        if cronjob is None:
            return None
        template = cronjob["spec"]["jobTemplate"]
        jobs = self._objects.owned_by("Job", cronjob["metadata"]["uid"])
        number = time.time_ns() // 60_000_000_000
        taken = {j["metadata"]["name"] for j in jobs}
        while f"{name}-{number}" in taken:
            number += 1
        self._objects.put({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": f"{name}-{number}", "namespace": namespace,
                         "labels": dict((template.get("metadata") or {}).get("labels") or {}),
                         "ownerReferences": [owner_reference(cronjob)]},
            "spec": template["spec"],
        })  # fmt: skip
        for old in sorted(jobs, key=lambda j: int(j["metadata"]["resourceVersion"]))[: max(0, len(jobs) + 1 - _KEPT)]:
            self._objects.remove(key_of(old))
        self._changed()
        return f"{name}-{number}"

    async def _wait(self, cronjob: Json) -> None:
        meta = cronjob["metadata"]
        first = (meta.get("annotations") or {}).get(FIRST_RUN)
        if first:
            await asyncio.sleep(duration(str(first), FIRST_RUN))
            self.fire(meta["namespace"], meta["name"])
        while True:
            at = next_time(cronjob["spec"]["schedule"], time.time_ns())
            while (left := (at - time.time_ns()) / 1e9) > 0:
                await asyncio.sleep(min(left, 60))
            with contextlib.suppress(KeyError):
                current = self._objects.get("CronJob", meta["namespace"], meta["name"])
                if current is not None and not current["spec"].get("suspend"):
                    self.fire(meta["namespace"], meta["name"])
