"""Enforcement settings: what they mean, that they survive, and that a change is whole or none."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from eastwest.enforce.modes import EVERY_NAMESPACE, Snapshot
from eastwest.enforce.settings import EnforcementSettings, SettingsError, from_json, to_json
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode, Posture

IN, OUT = Direction.INGRESS, Direction.EGRESS


def test_everything_is_off_until_somebody_asks(tmp_path: Path) -> None:
    settings = EnforcementSettings(tmp_path)
    assert settings.snapshot() == Snapshot()
    assert settings.snapshot().mode("shop", IN, "node-a") is Mode.OFF
    assert not settings.path.exists()


def test_modes_by_namespace_direction_and_node(tmp_path: Path) -> None:
    settings = EnforcementSettings(tmp_path)
    settings.set("shop", Mode.AUDIT)
    settings.set("shop", Mode.ENFORCE, IN, ["node-b", "node-a"])
    now = settings.snapshot()
    assert now.mode("shop", IN, "node-a") is Mode.ENFORCE
    assert now.mode("shop", IN, "node-c") is Mode.AUDIT
    assert now.mode("shop", OUT, "node-a") is Mode.AUDIT
    settings.set("shop", Mode.AUDIT, IN, ["node-a"])
    assert settings.snapshot().setting("shop", IN).nodes == (("node-b", Mode.ENFORCE),), "as everywhere: no exception"
    settings.set("shop", Mode.ENFORCE, IN)
    assert settings.snapshot().setting("shop", IN).nodes == (), "everywhere ends what was narrowed"


def test_a_namespace_without_entry_follows_all(tmp_path: Path) -> None:
    settings = EnforcementSettings(tmp_path)
    settings.set(EVERY_NAMESPACE, Mode.AUDIT)
    settings.set("shop", Mode.ENFORCE, IN, ["node-a"])
    now = settings.snapshot()
    assert now.mode("other", OUT, "node-a") is Mode.AUDIT
    assert (now.mode("shop", IN, "node-a"), now.mode("shop", IN, "node-b")) == (Mode.ENFORCE, Mode.AUDIT)
    assert list(now.namespaces()) == ["*", "shop"]


def test_a_new_process_finds_what_was_set(tmp_path: Path) -> None:
    settings = EnforcementSettings(tmp_path)
    settings.set("shop", Mode.ENFORCE, OUT, ["node-a"])
    settings.set_posture(lambda p: p.with_cluster(Posture.DENY).with_nodes("pool=blue", Posture.ALLOW))
    settings.set_posture(lambda p: p.with_namespace("shop", Posture.ALLOW))
    again = EnforcementSettings(tmp_path).snapshot()
    assert again == settings.snapshot()
    assert again.revision == 3
    assert from_json(to_json(again)) == again


def test_going_back_is_a_change_of_its_own(tmp_path: Path) -> None:
    settings = EnforcementSettings(tmp_path)
    before = settings.set("shop", Mode.AUDIT)
    settings.set("shop", Mode.ENFORCE)
    back = settings.replace(before)
    assert back == replace(before, revision=3)
    assert settings.replace(before) is back, "the same again changes nothing"


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    settings = EnforcementSettings(tmp_path)
    settings.set("shop", Mode.AUDIT)
    before, text = settings.snapshot(), settings.path.read_text()
    for wrong in (
        lambda: settings.set(" ", Mode.ENFORCE),
        lambda: settings.set("shop", Mode.ENFORCE, nodes=["a", ""]),
        lambda: settings.set_posture(lambda p: p.with_nodes("a,,b", Posture.DENY)),
    ):
        with pytest.raises(ValueError, match=r"named|expected"):
            wrong()
    assert settings.snapshot() is before
    assert settings.path.read_text() == text
    settings.path.unlink()
    settings.path.mkdir()  # the disk refuses
    with pytest.raises(OSError, match="directory"):
        settings.set("shop", Mode.ENFORCE)
    assert settings.snapshot() is before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": 1, "revision": 1, "modes": [{}]}'])
def test_a_damaged_file_is_named_and_never_read_as_off(tmp_path: Path, text: str) -> None:
    (tmp_path / "enforcement.json").write_text(text)
    with pytest.raises(SettingsError, match=r"enforcement\.json: .*move the file away"):
        EnforcementSettings(tmp_path)


def test_whoever_asked_is_told_in_order(tmp_path: Path) -> None:
    settings, heard = EnforcementSettings(tmp_path), list[int]()

    def broken(_: Snapshot) -> None:
        raise RuntimeError("a listener's own trouble")

    settings.subscribe(broken)
    settings.subscribe(lambda s: heard.append(s.revision))
    threads = [threading.Thread(target=settings.set, args=(f"n{i}", Mode.AUDIT)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == list(range(1, 9))
    assert len(json.loads(settings.path.read_text())["modes"]) == 16
