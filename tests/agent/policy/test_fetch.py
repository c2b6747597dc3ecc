"""Plans from a real server over a socket: whole, then what changed; what goes wrong costs a snapshot, never a plan."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.netlab import wait_for
from agent.policy.planserver import TOKEN, PlanServer, serving
from eastwest.agent.policy import keep, tell
from eastwest.agent.policy.fetch import PlanFetcher
from eastwest.agent.policy.keep import PlanFile
from eastwest.agent.policy.local import Announced
from eastwest.model.plan import NodePlan
from eastwest.model.realised import Realised
from eastwest.wire.plan import PlanError, encode
from wire.factories_plan import cells, make_plan
from wire.test_plan import same


def fetcher(server: PlanServer, got: list[NodePlan], plan: NodePlan | None = None, token: str = TOKEN) -> PlanFetcher:
    return PlanFetcher(got.append, server=server.url, token=lambda: token, cluster="c1", node="n1", plan=plan, wait_s=1)


def test_snapshot_then_delta_then_nothing(tmp_path: Path) -> None:
    got: list[NodePlan] = []
    with serving(tmp_path, make_plan()) as server:
        f = fetcher(server, got)
        assert f.fetch()
        server.put(make_plan(2, cells=cells((1, 1, 3))))
        assert f.fetch()
        assert not f.fetch()
    assert [p.version for p in got] == [1, 2]
    assert same(got[1], server.plans[1])
    assert [q.get("have", "")[:2] for q in server.asked] == ["", "1:", "2:"]
    assert f.answers == {"snapshot": 1, "delta": 1, "unchanged": 1, "failed": 0}


def test_a_kept_plan_is_continued_with_a_delta(tmp_path: Path) -> None:
    got: list[NodePlan] = []
    with serving(tmp_path, make_plan(), make_plan(2, ranges=())) as server:
        assert fetcher(server, got, make_plan()).fetch()
    assert same(got[0], make_plan(2, ranges=()))


def test_a_bad_answer_is_dropped_and_the_whole_plan_asked_for(tmp_path: Path) -> None:
    got: list[NodePlan] = []
    with serving(tmp_path, make_plan()) as server:
        f = fetcher(server, got)
        f.fetch()
        server.put(make_plan(2, ranges=()))
        server.garbage = b"EWPL nonsense that is long enough"
        with pytest.raises(PlanError):
            f.fetch()
        f.fetch()
    assert server.asked[-1].get("have") is None
    assert [p.version for p in got] == [1, 2]


def test_the_plan_that_is_here_already_is_no_news(tmp_path: Path) -> None:
    got: list[NodePlan] = []
    with serving(tmp_path, make_plan()) as server:
        f = fetcher(server, got)
        f.fetch()
        server.garbage = b"damaged"
        server.put(make_plan(2))
        with pytest.raises(PlanError):
            f.fetch()
        server.plans.pop()
        f.fetch()  # the whole plan was asked for, and is the one that is here
        assert server.asked[-1].get("have") is None
        server.garbage = encode(make_plan())
        server.put(make_plan(2))
        with pytest.raises(OSError, match="sent plan 1 again"):
            f.fetch()
        f.fetch()
    assert [p.version for p in got] == [1, 2]


def test_the_plan_of_another_node_is_not_taken(tmp_path: Path) -> None:
    got: list[NodePlan] = []
    with (
        serving(tmp_path, make_plan(node="n2")) as server,
        pytest.raises(PlanError, match="node 'n2' was sent to 'n1'"),
    ):
        fetcher(server, got).fetch()
    assert got == []


def test_a_refusal_is_said(tmp_path: Path) -> None:
    with serving(tmp_path, make_plan()) as server, pytest.raises(OSError, match="HTTP 401: whose token"):
        fetcher(server, [], token="stolen").fetch()


def test_it_waits_for_news_survives_outages_and_stops_at_once(tmp_path: Path) -> None:
    got: list[NodePlan] = []
    with serving(tmp_path) as server:
        answers: list[str] = []
        f = PlanFetcher(
            got.append, server=server.url, token=lambda: TOKEN, cluster="c1", node="n1", wait_s=20,
            answered=lambda: answers.append(server.asked[-1]["wait"]),
        )  # fmt: skip
        f.start()
        wait_for(lambda: bool(server.asked), "it asks")
        put = time.monotonic()
        server.put(make_plan())
        wait_for(lambda: len(got) == 1, "news come while it waits")
        assert time.monotonic() - put < 5
        server.status = 503
        server.put(make_plan(2, ranges=()))
        wait_for(lambda: "503" in f.complaint, "it notices")
        server.put(make_plan(3))
        server.status = 200
        wait_for(lambda: got[-1].version == 3 and not f.complaint, "and goes on")
        server.status = 503
        server.put(make_plan(4))
        wait_for(lambda: "503" in f.complaint, "it notices again")
        heard = len(answers)
        server.status = 200
        wait_for(lambda: len(answers) > heard, "it is heard of")
        assert answers[heard] == "0"  # at once, not when a wait is over
        begin = time.monotonic()
        f.stop()
        assert time.monotonic() - begin < 5


def test_a_plan_is_kept_on_disk_for_its_owner_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = PlanFile(tmp_path / "state", "n1")
    assert file.load() is None
    assert caplog.text == ""  # nothing there yet is nothing to complain about
    file.save(make_plan())
    file.save(make_plan(2, ranges=()))
    found = file.load()
    assert found is not None
    assert same(found, make_plan(2, ranges=()))
    assert (tmp_path / "state" / keep.FILE).stat().st_mode & 0o777 == 0o600
    assert [p.name for p in (tmp_path / "state").iterdir()] == [keep.FILE]
    assert PlanFile(tmp_path / "state", "n2").load() is None
    assert "plan of node 'n1'" in caplog.text
    path = tmp_path / "state" / keep.FILE
    path.write_bytes(path.read_bytes()[:-1])
    assert file.load() is None
    assert "damaged" in caplog.text


def test_what_a_plugin_told_is_kept_for_this_boot_and_namespace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = keep.AnnouncedFile(tmp_path)
    assert file.load() == {}
    pods = {7: Announced("u7", "shop", "web", ("10.0.0.7", "fd00::7"))}
    file.save(pods)
    assert file.load() == pods
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(keep, "_place", lambda: ["another boot", "1"])
        assert file.load() == {}
    assert caplog.text == ""
    (tmp_path / "announced.json").write_text('{"of": 3}')
    assert file.load() == {}
    (tmp_path / "announced.json").write_text("[]")
    assert file.load() == {}
    assert "not usable" in caplog.text


def test_what_is_in_force_is_told_newest_only_and_again_after_an_outage(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        teller = tell.Teller(server=server.url, token=lambda: TOKEN, cluster="c1", node="n1")
        server.status = 503
        teller.start()
        teller.say(Realised("n1", 1, "a", 1, 1))
        wait_for(lambda: "503" in teller.complaint, "it notices")
        teller.say(Realised("n1", 2, "b", 2, 2))
        server.status = 200
        wait_for(lambda: bool(server.said), "told")
        teller.stop()
    assert [s.version for s in server.said] == [2]
