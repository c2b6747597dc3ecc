"""The life of an interface, told without a kernel."""

from __future__ import annotations

from eastwest.agent.interfaces import IGNORED_RETRY_S, Interface, Interfaces, State
from eastwest.agent.netlink import Link
from eastwest.agent.pods import PodProcess

VETH = Link(7, "v0", 3)
POD = PodProcess("uid-7", 100)


def attach(interfaces: Interfaces) -> Interface:
    new = interfaces.to_attach()
    assert new is not None
    interfaces.attaching(new)
    return new


def test_a_pod_known_in_time_is_never_held() -> None:
    interfaces = Interfaces()
    interfaces.appeared(VETH, 0)
    (unnamed,) = interfaces.unnamed(0)
    interfaces.named(unnamed, POD, 0)
    assert interfaces.attaching(unnamed) is False
    assert interfaces.drained() == ([unnamed], False)


def test_held_until_its_pod_is_found() -> None:
    interfaces = Interfaces()
    interfaces.appeared(VETH, 0)
    i = attach(interfaces)
    assert interfaces.drained() == ([], True)
    assert interfaces.settle(1) == ([], [])
    interfaces.named(i, POD, 2)
    assert interfaces.settle(2) == ([i], [])
    assert interfaces.drained() == ([i], False)


def test_nobodys_interface_is_let_go_and_asked_about_now_and_then() -> None:
    interfaces = Interfaces(hold_s=10)
    interfaces.appeared(VETH, 0)
    i = attach(interfaces)
    assert interfaces.settle(9.9) == ([], [])
    assert interfaces.settle(10) == ([], [i])
    assert interfaces.drained() == ([], False)
    assert interfaces.unnamed(11) == []
    assert interfaces.unnamed(10 + IGNORED_RETRY_S) == [i]
    interfaces.named(i, POD, 41)
    assert interfaces.to_attach() is i


def test_gone_before_anybody_knew_is_recorded_as_unknown() -> None:
    interfaces = Interfaces()
    interfaces.appeared(VETH, 0)
    i = attach(interfaces)
    assert interfaces.vanished(7) is i
    assert interfaces.settle(1) == ([i], [])
    assert i.pod_uid is None
    assert interfaces.drained() == ([i], False)


def test_gone_is_drained_twice_and_until_quiet() -> None:
    interfaces = Interfaces()
    interfaces.appeared(VETH, 0)
    i = attach(interfaces)
    interfaces.named(i, POD, 0)
    interfaces.settle(0)
    interfaces.vanished(7)
    assert [interfaces.counted(i, packets) for packets in (0, 5, 0)] == [False, False, True]
    assert interfaces.snapshot() == []


def test_a_reused_index_waits_for_its_predecessor() -> None:
    interfaces = Interfaces()
    interfaces.appeared(VETH, 0)
    old = attach(interfaces)
    interfaces.vanished(7)
    interfaces.appeared(Link(7, "v1", 4), 1)
    assert interfaces.to_attach() is None
    interfaces.counted(old, 0)
    assert interfaces.counted(old, 0) is True
    interfaces.listed([Link(7, "v1", 4)], 2)
    new = interfaces.to_attach()
    assert new is not None
    assert new.link.name == "v1"


def test_never_attached_and_gone_is_forgotten() -> None:
    interfaces = Interfaces()
    interfaces.appeared(VETH, 0)
    assert interfaces.vanished(7) is None
    assert interfaces.vanished(8) is None
    assert interfaces.to_attach() is None


def test_both_ends_here_is_no_pod() -> None:
    interfaces = Interfaces()
    interfaces.appeared(Link(9, "v9", None), 0)
    assert interfaces.snapshot() == []


def test_a_list_finds_what_events_missed() -> None:
    interfaces = Interfaces()
    interfaces.appeared(VETH, 0)
    attach(interfaces)
    assert interfaces.listed([Link(8, "v8", 1)], 1) == [7]
    assert {i.ifindex for i in interfaces.snapshot()} == {7, 8}


def test_retries_slow_down() -> None:
    interfaces = Interfaces()
    interfaces.appeared(VETH, 0)
    now, waits = 0.0, []
    for _ in range(9):
        (i,) = interfaces.unnamed(now)
        interfaces.named(i, None, now)
        following = interfaces.next_try_s()
        assert following is not None
        waits.append(round(following - now, 3))
        now = following
    assert waits == [0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 1.0, 1.0]


def test_hooks_are_taken_once() -> None:
    interfaces = Interfaces()
    interfaces.appeared(VETH, 0)
    i = attach(interfaces)
    i.hooks = (5, 6)
    assert interfaces.take_hooks(i) == (5, 6)
    assert interfaces.take_hooks(i) == ()
    assert i.state is State.HELD


def test_where_nothing_lives_yet_a_pod_may_begin() -> None:
    """Only for who asks for it, who enforces: else it would be counted for ever."""
    interfaces = Interfaces(hold_s=10)
    interfaces.appeared(VETH, 0)
    i = attach(interfaces)
    interfaces.may_begin = lambda interface: interface is i
    interfaces.named(i, None, 9, empty=True)
    assert interfaces.settle(100) == ([], [])
    interfaces.named(i, None, 101, empty=False)
    assert interfaces.settle(102) == ([], [i])


def test_whose_it_is_may_be_told_before_it_appears_or_after() -> None:
    interfaces = Interfaces(hold_s=10)
    interfaces.announced(7, "uid-7")
    interfaces.appeared(VETH, 0)
    i = attach(interfaces)
    assert i.pod_uid == "uid-7"
    assert interfaces.settle(11) == ([i], [])
    interfaces.appeared(Link(8, "v8", 4), 0)
    j = attach(interfaces)
    assert interfaces.settle(11) == ([], [j])
    interfaces.announced(8, "uid-8")
    assert interfaces.to_attach() is j
    assert interfaces.vanished(8) is None
    interfaces.appeared(Link(8, "v8", 5), 20)
    assert [x.pod_uid for x in interfaces.snapshot() if x.ifindex == 8] == [None]
