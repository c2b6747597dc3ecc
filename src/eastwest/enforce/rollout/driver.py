"""Drives the one rollout of a server: looks, asks the machine, keeps its state on disk, puts modes into the settings.

Order at every change: the state is on disk, marked as not put in force; the settings change; the mark goes. So a server
that dies anywhere knows what to put in force when it comes back. Nothing of it lives in agents.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from eastwest.enforce.modes import Snapshot
from eastwest.enforce.rollout import machine, saved
from eastwest.enforce.rollout.gates import Observation
from eastwest.enforce.rollout.machine import State
from eastwest.enforce.rollout.spec import Request, RolloutError
from eastwest.enforce.settings import EnforcementSettings
from eastwest.store.errors import StoreError

log = logging.getLogger(__name__)

EVERY_S: Final = 1.0
SHARE: Final = 3
"""How many times as long as a look took to rest after it: a long hold over many records must not keep the store busy."""


@dataclass(frozen=True, slots=True)
class View:
    """A rollout as it stands. `seen`: the last look, None before the first; `trouble`: why there is none newer."""

    state: State
    settings: Snapshot
    seen: Observation | None
    trouble: str | None


class Eyes(Protocol):
    """Whoever looks; `observe.Observer` is one."""

    def nodes(self) -> list[str]:
        """The cluster's nodes now."""

    def namespaces(self) -> list[str]:
        """The cluster's namespaces now."""

    def observe(self, state: State) -> Observation:
        """What there is to see of a rollout. Raises StoreError."""


class Rollouts:
    """`_lock` guards the state on disk, in memory and in the settings; looking happens outside of it."""

    def __init__(
        self, data: Path, settings: EnforcementSettings, observer: Eyes, clock: Callable[[], int] = time.time_ns,
        every_s: float = EVERY_S,
    ) -> None:  # fmt: skip
        """Raises SavedError."""
        self._data, self._settings, self._observer, self._clock, self._every_s = (
            data,
            settings,
            observer,
            clock,
            every_s,
        )
        self._lock = threading.Lock()
        found = saved.load(data)
        self._state: State | None = found[0] if found else None
        self._pending = found is not None and found[1]
        self._seen: Observation | None = None
        self._trouble: str | None = None
        self._unwritten = ""  # why the state could not be written at the last look
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        with self._lock:
            self._put_in_force()
        self._thread = threading.Thread(target=self._run, name="rollout")
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    # --- people --------------------------------------------------------------------------------------------------

    def view(self) -> View | None:
        """None when there never was a rollout."""
        state = self._state
        return None if state is None else View(state, self._settings.snapshot(), self._seen, self._trouble)

    def held(self, namespace: str) -> str | None:
        """Why nobody else may change the modes of a namespace now; None when anybody may."""
        state = self._state
        if state is None or state.over or namespace not in state.request.namespaces:
            return None
        return f"rollout {state.id} decides the mode of {namespace}: end it with `eastwest rollout abort`"

    def begin(self, request: Request) -> State:
        """Start one. Raises RolloutError, also while another is not over."""
        with self._lock:
            if self._state is not None and not self._state.over:
                raise RolloutError(
                    f"rollout {self._state.id} is {self._state.status}: end it with `eastwest rollout abort`"
                )
            known = self._observer.namespaces()
            for namespace in request.namespaces:
                if namespace not in known:
                    there = ", ".join(known) or "none yet"
                    raise RolloutError(f"no namespace {namespace!r}; there are {there}", "namespaces")
            name = uuid.uuid4().hex[:8]
            return self._take(
                machine.begin(name, request, self._observer.nodes(), self._settings.snapshot(), self._clock())
            )

    def change(self, how: Callable[[State, int], State]) -> State:
        """`machine.pause`, `resume` or `abort` the current one. Raises RolloutError."""
        with self._lock:
            if self._state is None:
                raise RolloutError("there is no rollout; start one with `eastwest rollout start`")
            return self._take(how(self._state, self._clock()))

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        rest_s = self._every_s
        while not self._stopping.wait(rest_s):
            began = time.monotonic()
            try:
                self.tick()
                self._unwritten = ""
            except OSError as error:
                words = f"its state cannot be written, so nothing moves: {error}"
                if words != self._unwritten:
                    log.error("rollout: %s", words)
                self._trouble = self._unwritten = words
            except Exception:  # a rollout that cannot go on stays where it is; the next look tries again
                log.exception("looking at the rollout")
                self._trouble = "the server failed to look; see its log"
            rest_s = max(self._every_s, SHARE * (time.monotonic() - began))

    def tick(self) -> None:
        """One look and what follows from it."""
        state = self._state
        if state is None or (state.over and not self._pending):
            return
        seen = self._look(state) if not state.over else None
        with self._lock:
            self._put_in_force()
            if self._state is state and seen is not None:
                after = machine.advance(state, seen)
                self._seen = seen
                if after is not state:
                    self._take(after)

    def _look(self, state: State) -> Observation | None:
        try:
            seen = self._observer.observe(state)
        except StoreError as error:
            self._trouble = f"cannot look, so nothing moves: {error}"
            return None
        self._trouble = None
        return seen

    def _take(self, state: State) -> State:
        """Make a state the present one. Raises OSError; then the one before still is."""
        known = self._state.events if self._state is not None and self._state.id == state.id else ()
        saved.save(self._data, state, pending=True)
        self._state, self._pending = state, True
        for event in state.events[-1:] if state.events != known else ():
            log.info("rollout %s: %s", state.id, event.text)
        self._put_in_force()
        return state

    def _put_in_force(self) -> None:
        """What the state wants, into the settings, once."""
        state = self._state
        if state is None or not self._pending:
            return
        self._settings.change(lambda now: machine.settled(state, now))
        saved.save(self._data, state, pending=False)
        self._pending = False
