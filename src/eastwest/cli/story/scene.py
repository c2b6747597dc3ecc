"""Where the story plays: a running product, a shop with shoppers in it, and the commands a person would type.

Owns asking and waiting. What is right or wrong in a step is `steps`' to say.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from eastwest.cli._stack import Stack, StackError
from eastwest.k8s.inventory import Inventory
from eastwest.k8s.sources import WatchLogSource
from eastwest.lab.runtime import Lab
from eastwest.model.cluster import ClusterState
from eastwest.runtime.paths import run_dir

SCENARIO: Final = "retail-store"
SHOP: Final = ("carts", "catalog", "checkout", "orders", "ui")
PURCHASE: Final = "POST /purchase"
PATIENCE_S: Final = 180.0
"""The most that anything is waited for: a bound for machines that are busy with other things, and no part of a figure."""
_DENIED: Final = "(verdict=denied or verdict=partly)"
Json = dict[str, Any]


class StoryError(Exception):
    """A step did not come out as it must; the message says what was seen instead."""


def check(holds: object, otherwise: str) -> None:
    """Raise StoryError unless it holds."""
    if not holds:
        raise StoryError(otherwise)


def policy(namespace: str, name: str, spec: Json) -> Json:
    """A NetworkPolicy object."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, slots=True)
class Purchases:
    """What shoppers outside the cluster counted. Those under way are attempted, and neither good nor failed yet."""

    attempted: int = 0
    succeeded: int = 0
    failed: int = 0

    def since(self, before: Purchases) -> Purchases:
        return Purchases(
            self.attempted - before.attempted, self.succeeded - before.succeeded, self.failed - before.failed
        )


def rfc3339(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Scene:
    """`policies`: the folder of generated policies. `began_ns`: when the shop's first pod may have started."""

    stack: Stack
    folder: Path
    began_ns: int = field(default_factory=time.time_ns)
    _earlier: Purchases = Purchases()  # of shops before this one

    @property
    def lab(self) -> Lab:
        assert self.stack.lab is not None
        return self.stack.lab

    @property
    def policies(self) -> Path:
        return self.folder / "policies"

    # --- the shop --------------------------------------------------------------------------------------------------

    def purchases(self) -> Purchases:
        """Of all shops so far: shoppers begin to count anew with a new shop."""
        made = [c["requests"].get(PURCHASE, {}) for c in self.lab.clients() if c["started_ns"] >= self.began_ns]
        now = (sum(c.get(n, 0) for c in made) for n in ("attempted", "succeeded", "failed"))
        before = self._earlier
        return Purchases(*map(sum, zip(now, (before.attempted, before.succeeded, before.failed), strict=True)))

    def anew(self) -> None:
        """A new shop begins now."""
        self._earlier, self.began_ns = self.purchases(), time.time_ns()

    def last_failure(self) -> str:
        """What the shopper was told who failed last."""
        failed = [
            r for c in self.lab.clients() for name, r in c["requests"].items() if name == PURCHASE and r["failed"]
        ]
        return str(max(failed, key=lambda r: r["last_failure_ns"])["last_failure"]) if failed else "none failed"

    def wait(self, what: str, condition: Callable[[], object], deadline_s: float = PATIENCE_S) -> float:
        """Seconds until `condition` held. Raises StoryError."""
        began = time.monotonic()
        try:
            self.stack.wait_for(what, lambda: bool(condition()), deadline_s)
        except StackError as error:
            raise StoryError(str(error).splitlines()[0]) from error
        return time.monotonic() - began

    def sell(self, count: int, deadline_s: float = PATIENCE_S) -> Purchases:
        """Wait for `count` more purchases that succeed."""
        before = self.purchases()
        self.wait(f"{count} purchases", lambda: self.purchases().since(before).succeeded >= count, deadline_s)
        return self.purchases().since(before)

    def recover(self, in_a_row: int = 20, deadline_s: float = PATIENCE_S) -> float:
        """Seconds until so many purchases in a row have succeeded."""
        start = time.monotonic()
        last = self.purchases()

        def calm() -> bool:
            nonlocal last
            now = self.purchases()
            if now.failed > last.failed:
                last = now
            return now.since(last).succeeded >= in_a_row

        self.wait(f"{in_a_row} purchases in a row", calm, deadline_s)
        return time.monotonic() - start

    # --- commands and answers --------------------------------------------------------------------------------------

    def eastwest(self, *words: str, codes: Sequence[int] = (0,)) -> Any:
        """Run a command with --json; what it printed. Raises StoryError for any other exit code."""
        from eastwest.cli.main import main

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*words, "--json"])
        if code not in codes:
            said = err.getvalue().strip() or out.getvalue().strip()[:500]
            raise StoryError(f"`eastwest {' '.join(words)}` ended with {code}: {said}")
        text = out.getvalue()
        return json.loads(text) if text.strip() else None

    def ask(self, *words: str, codes: Sequence[int] = (0,)) -> Any:
        """The same for a command that asks the server."""
        return self.eastwest(*words, "--server", self.stack.url, codes=codes)

    def denied(self, since_ns: int, more: str = "") -> list[Json]:
        """Edges of which something was denied since a moment."""
        words = _DENIED + (f" and {more}" if more else "")
        rows: list[Json] = self._flows(since_ns, words, "1000")["rows"]
        return rows

    def count_denied(self, since_ns: int) -> int:
        """How many edges these are."""
        return int(self._flows(since_ns, _DENIED, "1")["total"])

    def _flows(self, since_ns: int, words: str, limit: str) -> Json:
        answer: Json = self.stack.get("/api/v1/flows", start=rfc3339(since_ns), filter=words, limit=limit)
        return answer

    def heard(self, until_ns: int) -> None:
        """Wait until every node's records reach to a moment: what is not there yet would count as a gap."""

        def there() -> bool:
            nodes = self.stack.get("/api/v1/coverage", window="5m")["nodes"]
            return all((n["last_window_end_ns"] or 0) >= until_ns for n in nodes)

        self.wait("the agents' records", there)

    # --- policies --------------------------------------------------------------------------------------------------

    def cluster(self) -> ClusterState:
        """The cluster as it is now, from the lab's own log."""
        inventory = Inventory([WatchLogSource(run_dir() / "lab" / self.stack.plan.name / "watch.jsonl")])
        inventory.poll()
        return inventory.state_at(time.time_ns())

    def apply(self, folder: Path) -> None:
        """Put the policies of a folder into the cluster, in place of all that are there, and wait until in force."""
        files = [p for p in sorted(folder.rglob("*.yaml")) if p.name != "kustomization.yaml"]
        before = {(o["metadata"]["namespace"], o["metadata"]["name"]) for o in self.lab.objects("NetworkPolicy")}
        kept = {
            (namespace, name) for kind, namespace, name in self.lab.apply(*files, wait=False) if kind == "NetworkPolicy"
        }
        for namespace, name in before - kept:
            self.lab.delete("NetworkPolicy", namespace, name)
        self.in_force()

    def put(self, *policies: Json) -> None:
        """Apply single policies, and wait until in force."""
        self.lab.apply_objects(policies, wait=False)
        self.in_force()

    def no_policies(self) -> None:
        for policy in self.lab.objects("NetworkPolicy"):
            self.lab.delete("NetworkPolicy", policy["metadata"]["namespace"], policy["metadata"]["name"])
        self.in_force()

    def mode(self, mode: str, namespaces: Sequence[str]) -> None:
        """`eastwest enforce set`, and wait until in force."""
        for namespace in namespaces:
            self.ask("enforce", "set", namespace, mode)
        self.in_force()

    def in_force(self, deadline_s: float = PATIENCE_S) -> None:
        """Wait until every node has put the newest policies and modes in force."""
        changed_ns = self.lab.changed_ns()
        try:
            self.wait("every node to have it in force", lambda: not self._waits(changed_ns), deadline_s)
        except StoryError as error:
            raise StoryError(f"{error}: {'; '.join(self._waits(changed_ns)[:3])}") from None

    def _waits(self, changed_ns: int) -> list[str]:
        """What is not in force yet, and why."""
        status = self.stack.get("/api/v1/enforcement")
        if status["inventory_ns"] < changed_ns or status["revision"] != status["settings"]["revision"]:
            return ["the server has not compiled it"]
        late = [f"{n['node']}: {n['reason']}" for n in status["nodes"] if n["realised_version"] != n["version"]]
        pods = [
            f"{m['namespace']}/{m['name']} {m['direction']}: {m['reason']}"
            for n in status["nodes"]
            for m in n["missing"]
        ]
        return late + pods or ([] if status["nodes"] else ["the server knows no node"])
