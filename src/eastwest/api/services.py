"""What the routes stand on, handed over by whoever starts the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from eastwest.api.learning import InventoryView, Kept
from eastwest.enforce.planner import Planner
from eastwest.enforce.realised import Register
from eastwest.enforce.rollout.driver import Rollouts
from eastwest.enforce.settings import EnforcementSettings
from eastwest.model.prices import PriceTable
from eastwest.query.live import Landed
from eastwest.runtime.topic import Topic
from eastwest.store.protocol import Store
from eastwest.store.questions import Range


def _never_held(_: str) -> str | None:
    return None


@dataclass(frozen=True)
class Enforcement:
    """What the enforcement routes stand on. held: why a namespace's mode must not be changed by hand now, or None."""

    settings: EnforcementSettings
    planner: Planner
    register: Register
    held: Callable[[str], str | None] = _never_held


@dataclass(frozen=True)
class Services:
    """Everything a route may ask. `recording` is the range of an evidence bundle that is being played, else None."""

    store: Store
    inventory: InventoryView
    inventory_source: str
    clock: Callable[[], int]
    landed: Topic[Landed]
    started_ns: int
    last_batch_ns: Callable[[], int | None]
    troubles: Callable[[], list[str]]  # why the server is not well, beyond the store
    metrics: Callable[[str | None], tuple[bytes, str]]  # Accept header -> (body, content type)
    bundle: Callable[[Range], bytes]
    prices: PriceTable | None = None
    aws_ranges: Callable[[], Any] | None = None  # a RangesUsed: what addresses of AWS are named by
    recording: Range | None = None
    recorded_coverage: Mapping[str, Any] | None = None  # the bundle's own, for its whole window
    enforcement: Enforcement | None = None  # None while a recording is played
    learned: Kept = field(default_factory=Kept, repr=False)
    rollouts: Rollouts | None = None  # None: a recording is played
    token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] = frozenset()
    """Host names that a browser may use without a token; guards a loopback server against DNS rebinding."""

    def now_ns(self) -> int:
        """The present, or the end of the recording."""
        return self.recording.end_ns if self.recording else self.clock()


def _services(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


Given = Annotated[Services, Depends(_services)]
