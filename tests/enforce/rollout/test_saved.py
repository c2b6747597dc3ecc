"""A rollout comes back from disk as it went there, or the server says what is wrong with the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from eastwest.enforce.modes import Setting
from eastwest.enforce.rollout import machine, saved
from eastwest.enforce.rollout.machine import State
from eastwest.enforce.rollout.spec import Stage
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode
from enforce.rollout.factories_rollout import broken, held, seen, state


def stopped() -> State:
    before = {("bank", Direction.EGRESS): Setting(Mode.OFF, (("node-1", Mode.AUDIT),))}
    going = state("shop", "bank", before=before, stages=(Stage("canary", ("node-2",), ("shop",)), Stage("rest")))
    for at in range(1, 5):
        going = machine.advance(going, held(at))
    return machine.advance(going, seen(9, flows=(broken(("shop", "node-2"), enforced=True),)))


def test_it_comes_back_equal(tmp_path: Path) -> None:
    assert stopped().stops
    for pending in (True, False):
        saved.save(tmp_path, stopped(), pending=pending)
        assert saved.load(tmp_path) == (stopped(), pending)
    assert [p.name for p in tmp_path.iterdir()] == ["rollout.json"]


def test_no_file_is_no_rollout(tmp_path: Path) -> None:
    assert saved.load(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 9}', '{"version": 1, "request": null}'])
def test_a_damaged_file_is_named_never_guessed_at(tmp_path: Path, text: str) -> None:
    (tmp_path / "rollout.json").write_text(text)
    with pytest.raises(saved.SavedError, match=r"rollout\.json"):
        saved.load(tmp_path)
