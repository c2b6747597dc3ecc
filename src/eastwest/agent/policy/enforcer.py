"""The thread that keeps the kernel's tables equal to the newest plan and to the pods that are here. All writing is its.

Whatever happens (a plan, a pod, an address), the whole set is made anew, compared with what is in force, and switched to
when it differs: so there is one way in, and nothing is ever half there. A plan that does not fit is not switched to; the
one before goes on, for new pods too.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Collection
from typing import Final

from eastwest.agent.interfaces import Interfaces
from eastwest.agent.policy import local, surroundings
from eastwest.agent.policy.in_force import EGRESS, InForce, limits_of, realised, refused_hooks
from eastwest.agent.policy.keep import AnnouncedFile, PlanFile
from eastwest.agent.policy.local import Announced, Bound
from eastwest.agent.policy.making import Making, addresses_of_others
from eastwest.agent.policy.reasons import ReasonBook
from eastwest.agent.policy.tables import Stance, Tables, TooLargeError, same
from eastwest.model.batch import HookStatus
from eastwest.model.plan import NodePlan
from eastwest.model.realised import Realised, RefusedPlan

log = logging.getLogger("eastwest.agent")
LOOK_AGAIN_S: Final = 5.0
_TRY_AGAIN_S: Final = 1.0
_REASONS_KEPT: Final = 10_000
_GATHER_S: Final = 0.02


class Enforcer:
    """Inert until `start`, which must be called in the node's network namespace. `_changed` guards what threads share."""

    def __init__(
        self,
        tables: Tables,
        interfaces: Interfaces,
        book: ReasonBook,
        file: PlanFile,
        announced: AnnouncedFile,
        capability: tuple[HookStatus, ...] = (),
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        """`tell` is called, in the enforcer's thread, after what is in force may have changed."""
        self._tell = tell
        self._tables, self._interfaces, self._book, self._file = tables, interfaces, book, file
        self.capability = capability
        self._changed = threading.Condition()
        self._newest: NodePlan | None = None
        self._in_force: InForce | None = None
        self._refused: RefusedPlan | None = None
        self._announced_file = announced
        self._announced = announced.load()
        self._saved = dict(self._announced)
        for ifindex, pod in self._announced.items():
            interfaces.announced(ifindex, pod.uid)
        self._links = tables.links()
        self._making = Making(book, egress=EGRESS not in refused_hooks(capability))
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="policy", daemon=True)
        self.complaint = ""  # why the last attempt failed; empty when it did not
        self._kept = (0, "")  # version and digest of the plan that is on disk
        self._unkept: dict[str, str] = {}  # what cannot be written there, and why
        self.apply_seconds: list[float] = []  # of each switch since `take_apply_seconds`

    # --- any thread ------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Put the kept plan in force, if there is one, and go on from there."""
        plan = self._file.load()
        if plan is not None:
            log.info("plan %d of a former run is continued", plan.version)
            self._newest, self._kept = plan, (plan.version, plan.digest)
        self._step()
        self._thread.start()

    def stop(self) -> None:
        """Write nothing more; what is in force stays in the tables."""
        self._stopping.set()
        self.poke()
        self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def plan(self, plan: NodePlan) -> None:
        """The newest plan there is."""
        with self._changed:
            self._newest = plan
        self.poke()

    def announce(self, ifindex: int, pod: Announced) -> None:
        """A CNI plugin says whose an interface is; forgotten when the link is gone."""
        with self._changed:
            self._announced[ifindex] = pod
        self.poke()

    def poke(self) -> None:
        """Something changed: an interface was hooked or is gone, a pod was found."""
        try:
            os.write(self._wake_write, b"x")
        except (BlockingIOError, OSError):
            return  # it is awake, or at its end

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def unkept(self) -> list[str]:
        """What a restart would not know, because the disk does not take it; tried again every few seconds."""
        return list(dict(self._unkept).values())

    @property
    def newest(self) -> NodePlan | None:
        """The last plan that came, which need not be in force."""
        with self._changed:
            return self._newest

    @property
    def in_force(self) -> InForce | None:
        with self._changed:
            return self._in_force

    def wait_bound(self, ifindexes: Collection[int], uid: str, deadline_s: float, *, planned: bool) -> InForce | None:
        """Until what holds for these interfaces of a pod is in force (see `InForce.holds`); None when that is not so by
        `deadline_s` (monotonic)."""

        def there() -> bool:
            force = self._in_force
            return force is not None and all(force.holds(i, uid, planned=planned) for i in ifindexes)

        with self._changed:
            done = self._changed.wait_for(there, max(0.0, deadline_s - time.monotonic()))
            return self._in_force if done else None

    def realised(self, node: str) -> Realised:
        """What is in force now, in the server's words."""
        with self._changed:
            force, refused = self._in_force, self._refused
        return realised(node, force, refused, self._tables.generation, self.capability, limits_of(self._tables.limits))

    def take_apply_seconds(self) -> list[float]:
        """How long each switch since the last call took, from its cause being seen to its being in force."""
        taken, self.apply_seconds = self.apply_seconds, []
        return taken

    # --- the thread ------------------------------------------------------------------------------------------------
    def _run(self) -> None:
        news = surroundings.News()
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        poll.register(news, select.POLLIN)
        pause_s = LOOK_AGAIN_S
        try:
            while not self._stopping.is_set():
                woken = {fd for fd, _ in poll.poll(pause_s * 1000)}
                if woken == {news.fileno()}:
                    self._stopping.wait(_GATHER_S)  # routes change in swarms
                if self._wake_read in woken:
                    os.read(self._wake_read, 4096)
                news.drain()
                if self._stopping.is_set():
                    return
                pause_s = LOOK_AGAIN_S if self._try() else _TRY_AGAIN_S
        finally:
            news.close()

    def _try(self) -> bool:
        try:
            self._step()
        except Exception as error:  # whatever a plan or a node does, enforcement must not stop following
            if str(error) != self.complaint:
                log.exception("the tables are not up to date, what is in force stays; trying again")
            self.complaint = str(error)
            return False
        self.complaint = ""
        return True

    def _step(self) -> None:
        began = time.monotonic()
        own = surroundings.own_addresses()
        interfaces = self._interfaces.snapshot()
        with self._changed:
            plan, force = self._newest, self._in_force
            present = {i.ifindex for i in interfaces if not i.gone}
            links = surroundings.links()
            known = {index for index, _ in links}
            self._announced = {i: a for i, a in self._announced.items() if i in known or i in present}
            announced = dict(self._announced)
        self._remember(announced)
        self._follow_links(surroundings.not_pods(interfaces, links, surroundings.networked()) - announced.keys())
        if plan is None:
            return
        bound = local.bindings(interfaces, announced, frozenset(self._links), addresses_of_others(plan))
        try:
            self._put(plan, bound, own, force, began)
            refused = None
        except TooLargeError as error:
            refused = RefusedPlan(plan.version, plan.digest, str(error))
            if self._refused != refused:
                log.error("plan %d is not put in force, the one before stays: %s", plan.version, error)
            self._fall_back(force, bound, own, began)
        with self._changed:
            self._refused = refused
        self._tell()
        self._tables.rest()

    def _remember(self, announced: dict[int, Announced]) -> None:
        """Before the plugin hears that its pod may begin: a restart must know whose the interface is."""
        if announced == self._saved:
            return
        try:
            self._announced_file.save(announced)
            self._saved = announced
            self._unkept.pop("announced", None)
        except OSError as error:
            self._complain("announced", f"what the CNI plugin told cannot be kept for a restart: {error}")

    def _fall_back(self, force: InForce | None, bound: tuple[Bound, ...], own: tuple[str, ...], began: float) -> None:
        """Pods come and go under the plan that is in force."""
        if force is None:
            return
        try:
            self._put(force.plan, bound, own, force, began)
        except TooLargeError as error:
            log.error("the pods of this node are not all in force: %s", error)

    def _put(
        self, plan: NodePlan, bound: tuple[Bound, ...], own: tuple[str, ...], force: InForce | None, began: float
    ) -> None:
        wanted = self._making.wanted(plan, bound, own)
        stance = Stance(plan.posture, plan.unknown_mode)
        if force is not None and stance == force.stance and same(wanted, force.wanted):
            generation, since = force.generation, force.since_ns
        else:
            generation, since = self._tables.switch(wanted, stance), time.time_ns()
            self.apply_seconds.append(time.monotonic() - began)
        is_new = force is None or force.plan.version != plan.version or force.plan.digest != plan.digest
        if is_new:
            since = time.time_ns()
        with self._changed:
            self._in_force = InForce(
                plan, generation, since, bound, stance, wanted, frozenset(p.uid for p in plan.pods)
            )
            self._changed.notify_all()
        self._keep(plan)
        if is_new:
            self._say(plan, time.monotonic() - began)
            if self._book.size > 2 * len(plan.reasons) + _REASONS_KEPT:
                self._book.keep((*plan.reasons[1:], *(force.plan.reasons[1:] if force is not None else ())))

    def _say(self, plan: NodePlan, seconds: float) -> None:
        log.info(
            "plan %d is in force: %d pods, %d identities, %d port entries, generation %d, %.1f ms",
            plan.version,
            len(plan.pods),
            len(plan.identities),
            len(plan.ports),
            self._tables.generation,
            seconds * 1e3,
        )

    def _keep(self, plan: NodePlan) -> None:
        if self._kept == (plan.version, plan.digest):
            return
        try:
            self._file.save(plan)
            self._kept = plan.version, plan.digest
            self._unkept.pop("plan", None)
        except OSError as error:
            self._complain("plan", f"the plan cannot be kept, a restart would begin with an older one: {error}")

    def _complain(self, what: str, words: str) -> None:
        if self._unkept.get(what) != words:
            log.error("%s", words)
        self._unkept[what] = words

    def _follow_links(self, now: set[int]) -> None:
        if now != self._links:
            self._tables.set_links(self._links, now)
            self._links = now
