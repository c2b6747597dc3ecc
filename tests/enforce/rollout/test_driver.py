"""The driver with real settings on a real disk, looking through scripted eyes; and a server that dies at any write."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eastwest.enforce import settings as settings_file
from eastwest.enforce.rollout import machine, saved
from eastwest.enforce.rollout.driver import Rollouts
from eastwest.enforce.rollout.gates import Observation
from eastwest.enforce.rollout.machine import State, Status
from eastwest.enforce.rollout.spec import RolloutError
from eastwest.enforce.settings import EnforcementSettings
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode
from eastwest.runtime import files
from eastwest.store.errors import StoreUnavailableError
from enforce.rollout.factories_rollout import NODES, SECOND, broken, held, request


@dataclass
class Scripted:
    """Sees what the test says next; after the end of the script that all is well."""

    script: list[Observation | Exception] = field(default_factory=list)
    at_s: float = 0

    def nodes(self) -> list[str]:
        return list(NODES)

    def namespaces(self) -> list[str]:
        return ["bank", "shop"]

    def clock(self) -> int:
        return int(self.at_s * SECOND)

    def observe(self, state: State) -> Observation:
        self.at_s += 5
        given = self.script.pop(0) if self.script else held(self.at_s)
        if isinstance(given, Exception):
            raise given
        return given


def server(data: Path, eyes: Scripted | None = None) -> tuple[Rollouts, EnforcementSettings]:
    eyes = eyes or Scripted()
    settings = EnforcementSettings(data)
    rollouts = Rollouts(data, settings, eyes, eyes.clock, every_s=3600)
    rollouts.start()
    rollouts.stop()  # the tests tick themselves
    return rollouts, settings


def state_of(rollouts: Rollouts) -> State:
    view = rollouts.view()
    assert view is not None
    return view.state


def until(rollouts: Rollouts, condition: Callable[[State], bool]) -> State:
    for _ in range(60):
        if condition(state_of(rollouts)):
            return state_of(rollouts)
        rollouts.tick()
    raise AssertionError(state_of(rollouts))


def modes(settings: EnforcementSettings, namespace: str = "shop") -> list[Mode]:
    return [settings.snapshot().mode(namespace, Direction.EGRESS, node) for node in NODES]


def test_settings_follow_the_steps_and_other_namespaces_stay(tmp_path: Path) -> None:
    rollouts, settings = server(tmp_path)
    settings.set("bank", Mode.AUDIT)
    rollouts.begin(request())
    assert modes(settings) == [Mode.OFF] * 3
    until(rollouts, lambda s: s.applied == 4)
    assert modes(settings) == [Mode.ENFORCE, Mode.AUDIT, Mode.AUDIT]
    settings.set("bank", Mode.ENFORCE)
    until(rollouts, lambda s: s.status is Status.DONE)
    assert modes(settings) == modes(settings, "bank") == [Mode.ENFORCE] * 3
    assert rollouts.held("shop") is None


def test_a_gate_takes_the_step_back_in_the_settings(tmp_path: Path) -> None:
    eyes = Scripted()
    rollouts, settings = server(tmp_path, eyes)
    rollouts.begin(request())
    until(rollouts, lambda s: s.applied == 2)
    eyes.script = [held(99, flows=(broken(),))]
    rollouts.tick()
    assert state_of(rollouts).status is Status.STOPPED
    assert modes(settings) == [Mode.AUDIT, Mode.OFF, Mode.OFF]
    assert "rollout abort" in (rollouts.held("shop") or "")
    assert rollouts.held("bank") is None


def test_who_cannot_look_does_not_move(tmp_path: Path) -> None:
    eyes = Scripted()
    rollouts, _ = server(tmp_path, eyes)
    rollouts.begin(request())
    until(rollouts, lambda s: s.applied == 1)
    before = state_of(rollouts)
    eyes.script = [StoreUnavailableError("the store is being started again")] * 3
    for _ in range(3):
        rollouts.tick()
    view = rollouts.view()
    assert view is not None
    assert view.state is before
    assert "started again" in (view.trouble or "")


def test_only_one_at_a_time_and_only_namespaces_that_are_there(tmp_path: Path) -> None:
    rollouts, _ = server(tmp_path)
    with pytest.raises(RolloutError, match="no namespace 'shp'; there are bank, shop"):
        rollouts.begin(request("shp"))
    with pytest.raises(RolloutError, match="there is no rollout"):
        rollouts.change(machine.pause)
    rollouts.begin(request())
    with pytest.raises(RolloutError, match="end it with"):
        rollouts.begin(request("bank"))


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    rollouts, _ = server(tmp_path)
    rollouts.begin(request())
    before = until(rollouts, lambda s: s.applied == 3 and s.realised_ns is not None)
    again, settings = server(tmp_path, Scripted(at_s=500))
    assert state_of(again) == before
    assert modes(settings) == [Mode.AUDIT] * 3
    until(again, lambda s: s.status is Status.DONE)
    assert modes(settings) == [Mode.ENFORCE] * 3


class Died(BaseException):
    """kill -9, as far as a disk can tell."""


def _live(rollouts: Rollouts) -> None:
    """Begin, take steps, give up, until the end of the world."""
    rollouts.begin(request(budget="2"))
    until(rollouts, lambda s: s.applied == 3)
    rollouts.change(machine.abort)
    raise Died


@pytest.mark.parametrize("write", range(1, 16))
def test_a_server_that_dies_at_any_write_leaves_whole_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    """Writes of the state and of the settings; the one that fails is not on disk, all before it are."""
    rollouts, settings = server(tmp_path)
    settings.set("shop", Mode.AUDIT, Direction.INGRESS)
    before = settings.snapshot().modes
    left = write

    def dying(path: Path, text: str) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise Died
        files.replace_file(path, text)

    monkeypatch.setattr(saved, "replace_file", dying)
    monkeypatch.setattr(
        settings_file, "write", lambda path, found: dying(path, json.dumps(settings_file.to_json(found)))
    )
    with pytest.raises(Died):
        _live(rollouts)
    monkeypatch.undo()
    again, after = server(tmp_path)
    view = again.view()
    if view is None:
        assert after.snapshot().modes == before
        return
    assert machine.settled(view.state, after.snapshot()) == after.snapshot(), "what the state wants is in force"
    if not view.state.over:
        again.change(machine.abort)
    assert after.snapshot().modes == before
