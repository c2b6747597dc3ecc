"""A rollout as a conversation: what is seen, and what it does about it; and its laws under any sequence of events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.enforce.modes import Setting, Snapshot
from eastwest.enforce.rollout import machine
from eastwest.enforce.rollout.gates import Gate, Observation, Unready, Watched
from eastwest.enforce.rollout.machine import State, Status, settled, wanted
from eastwest.enforce.rollout.modes import ORDER, Modes, highest
from eastwest.enforce.rollout.spec import RolloutError, modes_after
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode
from enforce.rollout.factories_rollout import HOLD, NODES, SECOND, broken, held, seen, settings, state


def modes(state: State, namespace: str = "shop") -> list[Mode]:
    return [highest(wanted(state), namespace, node) for node in NODES]


def at_step(number: int, *namespaces: str) -> State:
    """A rollout whose step `number` has just been put in force everywhere."""
    going = machine.advance(state(*namespaces), seen(1))
    at = 1.0
    while going.applied < number:
        going = machine.advance(machine.advance(going, seen(at + 1)), held(at + 2))
        at += 2
    return machine.advance(going, seen(at + 1))


def test_every_node_to_audit_one_by_one_then_to_enforce() -> None:
    going, story = state(), []
    for at in range(1, 100):
        before = going.applied
        going = machine.advance(going, held(at))
        if going.applied != before:
            story.append(modes(going))
    audit, enforce, off = Mode.AUDIT, Mode.ENFORCE, Mode.OFF
    assert story == [
        [audit, off, off],
        [audit, audit, off],
        [audit, audit, audit],
        [enforce, audit, audit],
        [enforce, enforce, audit],
        [enforce, enforce, enforce],
    ]
    assert going.status is Status.DONE
    assert wanted(going)["shop", Direction.EGRESS] == Setting(Mode.ENFORCE)  # a node that comes later, too


def test_a_step_waits_until_it_is_in_force_and_was_watched_for_the_hold() -> None:
    going = machine.advance(state(), seen(1))
    late = machine.advance(going, held(2, unrealised=(("node-1", "0 of 4 pods"),)))
    assert (late.realised_ns, late.applied) == (None, 1)
    there = machine.advance(late, seen(3))
    assert there.realised_ns == 3 * SECOND
    assert machine.advance(there, seen(100, watched_ns=HOLD - 1)).applied == 1
    assert machine.advance(there, seen(50, watched_ns=HOLD, unrealised=(("node-1", "restarted"),))).applied == 1
    assert machine.advance(there, seen(100, watched_ns=HOLD)).applied == 2


def test_without_an_observation_nothing_moves() -> None:
    going = at_step(2)
    assert machine.advance(going, None) is going


def test_a_flow_that_would_break_stops_the_step_before_anything_is_denied() -> None:
    stopped = machine.advance(at_step(2), seen(20, flows=(broken(),)))
    assert (stopped.status, stopped.applied) == (Status.STOPPED, 1)
    assert modes(stopped) == [Mode.AUDIT, Mode.OFF, Mode.OFF]
    (stop,) = stopped.stops
    assert stop.rolled_back == ("audit: node-2",)
    assert stop.findings[0].gate is Gate.FLOWS
    assert "shop/ui[Deployment] -> shop/cart[Deployment] TCP 8080 would be denied" in stop.findings[0].text
    assert "NetworkPolicy shop/cart ingress isolation" in stop.findings[0].text


def test_a_flow_that_nobody_had_seen_is_no_reason() -> None:
    going = at_step(2)
    new = broken(connections_before=0)
    assert machine.advance(going, seen(20, flows=(new,))).status is Status.RUNNING


def test_denies_on_a_node_of_an_earlier_step_take_that_step_back_too() -> None:
    """A bad policy during step 6 also hurts node-1, which enforces since step 4."""
    stopped = machine.advance(at_step(6), seen(40, flows=(broken(("shop", "node-1"), enforced=True),)))
    assert stopped.applied == 3
    assert modes(stopped) == [Mode.AUDIT] * 3
    assert stopped.stops[0].rolled_back[-1] == "enforce: node-1"


def test_denies_that_go_on_after_a_stop_take_more_back() -> None:
    stopped = machine.advance(at_step(6), seen(40, flows=(broken(("shop", "node-3"), enforced=True),)))
    assert stopped.applied == 5
    judged = machine.advance(stopped, seen(41, flows=(broken(("shop", "node-1")),)))
    assert judged.applied == 5, "what is only judged breaks nothing"
    more = machine.advance(stopped, seen(41, flows=(broken(("shop", "node-2"), enforced=True),)))
    assert (more.applied, len(more.stops)) == (4, 2)


@pytest.mark.parametrize(
    ("what", "gate"),
    [
        ({"unready": (Unready("shop", "web-1", "node-1"),)}, Gate.READINESS),
        ({"nodes": (Watched("node-1", 0.5, 100 * SECOND),)}, Gate.COVERAGE),
        ({"nodes": (Watched("node-1", 1.0, None),)}, Gate.COVERAGE),
        ({"unrealised": (("node-1", "the map is full"),)}, Gate.REALISED),
    ],
)
def test_other_gates_take_back_the_last_step(what: dict[str, object], gate: Gate) -> None:
    stopped = machine.advance(at_step(2), seen(100, **what))
    assert (stopped.status, stopped.applied) == (Status.STOPPED, 1)
    assert [f.gate for f in stopped.stops[0].findings] == [gate]


def test_a_pause_keeps_the_step_and_the_guard() -> None:
    paused = machine.pause(at_step(3), 20 * SECOND)
    assert machine.advance(paused, held(50)).applied == 3
    assert machine.advance(paused, seen(50, flows=(broken(),))).status is Status.STOPPED
    going = machine.resume(paused, 60 * SECOND)
    assert machine.advance(machine.advance(going, seen(61)), held(62)).applied == 4


def test_a_stopped_rollout_tries_the_step_again_or_goes_back_to_the_beginning() -> None:
    stopped = machine.advance(at_step(2), seen(20, flows=(broken(),)))
    again = machine.resume(stopped, 30 * SECOND)
    assert machine.advance(machine.advance(again, seen(31)), held(32)).applied == 2
    assert settled(machine.abort(stopped, 30 * SECOND), Snapshot()) == Snapshot()


def test_it_does_not_begin_where_nobody_watches() -> None:
    blind = machine.advance(state(), seen(61, nodes=(Watched("node-2", None, None),)))
    assert (blind.status, blind.applied) == (Status.STOPPED, 0)


@pytest.mark.parametrize("change", [machine.pause, machine.resume, machine.abort])
def test_what_is_over_is_over(change: object) -> None:
    over = machine.abort(at_step(2), 20 * SECOND)
    with pytest.raises(RolloutError, match="aborted"):
        change(over, 30 * SECOND)  # type: ignore[operator]


# --- laws --------------------------------------------------------------------------------------------------------

CELLS = st.tuples(st.sampled_from(["shop", "bank"]), st.sampled_from(NODES))
MODES = st.sampled_from(list(Mode))


def _setting(mode: Mode, nodes: dict[str, Mode]) -> Setting:
    made = Setting(mode)
    for node, there in nodes.items():
        made = made.narrowed((node,), there)
    return made


BEFORE = st.dictionaries(
    st.tuples(st.sampled_from(["shop", "bank"]), st.sampled_from(list(Direction))),
    st.builds(_setting, MODES, st.dictionaries(st.sampled_from(NODES), MODES)),
)
FLOWS = st.builds(
    lambda cells, enforced, before: broken(*cells, enforced=enforced, connections_before=before),
    st.lists(CELLS, min_size=1, max_size=3),
    st.booleans(),
    st.integers(0, 1),
)
SEEN = st.builds(
    Observation,
    at_ns=st.just(0),
    watched_ns=st.sampled_from([0, HOLD]),
    unrealised=st.lists(st.tuples(st.sampled_from(NODES), st.just("late")), max_size=2).map(tuple),
    flows=st.lists(FLOWS, max_size=2).map(tuple),
    unready=st.lists(st.builds(Unready, st.just("shop"), st.just("web"), st.sampled_from(NODES)), max_size=1).map(tuple),
    nodes=st.lists(st.builds(Watched, st.sampled_from(NODES), st.sampled_from([None, 0.5, 1.0]), st.just(None)), max_size=2).map(tuple),
)  # fmt: skip
EVENTS = st.lists(
    st.one_of(st.none(), SEEN, st.sampled_from([machine.pause, machine.resume, machine.abort])), max_size=40
)


def prefixes(given_state: State) -> list[Modes]:
    return [modes_after(given_state.before, given_state.steps[:n]) for n in range(len(given_state.steps) + 1)]


@given(BEFORE, EVENTS, st.sampled_from(["1", "2", "100%"]), st.sampled_from([Mode.AUDIT, Mode.ENFORCE]))
def test_whatever_happens_modes_are_those_before_plus_whole_steps(
    before: Modes, events: list[object], budget: str, to: Mode
) -> None:
    try:
        going = state("shop", "bank", before=before, budget=budget, to=to)
    except RolloutError:
        return  # everything is there already
    allowed, now = prefixes(going), 0
    for event in events:
        now += 5 * SECOND
        last = going
        if event is None or isinstance(event, Observation):
            going = machine.advance(going, event and replace(event, at_ns=now))
        else:
            try:
                going = event(going, now)  # type: ignore[operator]
            except RolloutError:
                continue
        assert wanted(going) in allowed
        assert going.applied <= last.applied + 1
        if going.applied > last.applied > 0:
            assert isinstance(event, Observation)
            assert event.watched_ns >= HOLD
            assert not event.unrealised
            assert not any(f.seen_connections for f in event.flows)
        if last.over:
            assert wanted(going) == wanted(last)
        for key, scope in before.items():
            for node in (*NODES, "node-9"):
                after = wanted(going).get(key, Setting()).on(node)
                assert ORDER[after] >= ORDER[scope.on(node)], "a rollout never lowers what was in force before it"
        after_ = settled(going, Snapshot(modes=tuple(sorted(wanted(last).items()))))
        assert dict(after_.modes) == (wanted(going) if going.applied else before)
    if not going.over:
        now_ = settled(going, settings({**before, ("other", Direction.EGRESS): Setting(Mode.AUDIT)}))
        back = settled(machine.abort(going, now), now_)
        assert back == settings({**before, ("other", Direction.EGRESS): Setting(Mode.AUDIT)})
