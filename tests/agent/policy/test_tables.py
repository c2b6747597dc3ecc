"""Plans in the kernel's own maps: what a set holds, what a change costs, and that what does not fit changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from eastwest.agent.kernel import FlowKernel
from eastwest.agent.policy import abi, entries, setmap
from eastwest.agent.policy.entries import ENTRY, LocalPod
from eastwest.agent.policy.reasons import ReasonBook
from eastwest.agent.policy.tables import Stance, Tables, TooLargeError, same
from eastwest.agent.sizes import PolicySizes, Sizes
from eastwest.model.plan import Mode, NodePlan, Posture, Ruling, Side
from wire.factories_plan import ALLOW, cells, identities, make_plan, ports

pytestmark = pytest.mark.root

SMALL = PolicySizes(identities=64, policed=8, pod_addresses=8, pod_ranges=8, cells=40, ports=60_000, links=8)


@pytest.fixture(scope="module")
def kernel() -> Iterator[FlowKernel]:
    k = FlowKernel(Sizes(flows=64, overflow=64), enforcing=True, policy=SMALL)
    yield k
    k.close()


@pytest.fixture
def tables(kernel: FlowKernel) -> Iterator[Tables]:
    for name, entry in ENTRY.items():
        for number in (0, 1):
            setmap.remove(kernel.maps[name], entries.in_set(setmap.read(kernel.maps[name], entry, number), number)[0])
    t = Tables(kernel.maps, asdict(SMALL))
    yield t
    t.close()


def wanted(
    plan: NodePlan, *pods: LocalPod, own: tuple[str, ...] = (), book: ReasonBook | None = None
) -> dict[str, Any]:
    return {
        "identities": entries.identities(plan, own),
        "policed": entries.policed(pods),
        "pod_addresses": entries.pod_addresses({a: p.ifindex for p in pods for a in p.addresses}),
        "pod_ranges": entries.pod_ranges(plan),
        "cells": entries.cells(plan),
        "ports": entries.ports(plan, (book or ReasonBook()).numbers(plan.reasons)),
    }


def kernel_holds(kernel: FlowKernel, number: int) -> dict[str, Any]:
    return {n: entries.canonical(setmap.read(kernel.maps[n], e, number)) for n, e in ENTRY.items()}


POD = LocalPod(7, Side(Mode.OFF, 0, 0), Side(Mode.ENFORCE, 1, 2), ("10.0.0.1", "fd00::1"))


def test_a_plan_is_in_the_set_that_the_generation_names(kernel: FlowKernel, tables: Tables) -> None:
    first = wanted(make_plan(), POD, own=("192.0.2.1", "fd00::ffff"))
    generation = tables.switch(first, Stance(Posture.DENY, Mode.AUDIT))
    state = tables._state.view(abi.POLICY_STATE)[0]
    assert (int(state["generation"]), int(state["posture"]), int(state["unknown_mode"])) == (generation, 2, 1)
    assert same(kernel_holds(kernel, generation & 1), first)
    second = wanted(make_plan(ranges=("10.9.0.0/16", "fd09::/32")), POD)
    assert tables.switch(second, Stance()) == generation + 1
    assert same(kernel_holds(kernel, 1 - (generation & 1)), second)
    assert same(kernel_holds(kernel, generation & 1), first)  # the old set rests
    third = wanted(make_plan(cells=cells((1, 1, 1))))
    tables.switch(third, Stance())
    assert same(kernel_holds(kernel, generation & 1), third)


def test_layout_of_keys_and_values(kernel: FlowKernel, tables: Tables) -> None:
    """As bpf/flow/policy.h has it, byte by byte."""
    book = ReasonBook()
    w = wanted(make_plan(), POD, own=("192.0.2.1",), book=book)
    port = next(e for e in w["ports"] if e["key"]["protocol"] == 6)
    assert (
        port["key"].tobytes()
        == (64 + 24).to_bytes(4, "little") + bytes(4) + (3).to_bytes(4, "little") + b"\x06\x1f\x90\0"
    )
    assert book.key(int(port["value"]["reason"])) == ALLOW.key
    assert int(port["value"]["ruling"]) == Ruling.ALLOW
    own = next(e for e in w["identities"] if e["value"]["identity"] == 0xFFFFFFFF)
    assert own["key"].tobytes() == (32 + 128).to_bytes(4, "little") + bytes(4) + bytes(10) + b"\xff\xff\xc0\0\2\1"
    everything = next(e for e in w["identities"] if e["value"]["identity"] == 3)
    assert int(everything["key"]["prefix"]) == 32
    ranged = w["pod_ranges"][0]["key"]
    assert (int(ranged["prefix"]), ranged["address"].tobytes()[10:]) == (32 + 96 + 24, b"\xff\xff\x0a\0\0\0")
    side = w["policed"][0]["value"]["side"]
    assert side.tolist() == [(0, 0, 0), (2, 1, 2)]  # egress first


def test_the_nodes_own_address_wins_over_the_plan() -> None:
    plan = make_plan(identities=identities(("::/0", 0, 3), ("192.0.2.1", 1, 9)))
    found = entries.identities(plan, ("192.0.2.1",))
    assert sorted(found["value"]["identity"].tolist()) == [3, 0xFFFFFFFF]


def test_a_change_costs_what_changed(tables: Tables) -> None:
    rows = [(r, 6, p, 24, Ruling.ALLOW, 1) for r in range(1, 11) for p in range(1000, 3000)]
    whole = [(r, 0, 0, 0, Ruling.DENY, 2) for r in range(1, 11)]
    plan, book = make_plan(ports=ports(*whole, *rows)), ReasonBook()
    tables.switch(wanted(plan, book=book), Stance())
    tables.switch(wanted(plan, book=book), Stance())
    before = tables.written
    tables.switch(wanted(make_plan(ports=ports(*whole, *rows[1:])), book=book), Stance())
    assert tables.written - before == 1
    renumbered = make_plan(
        reasons=(*plan.reasons[:1], plan.reasons[3], plan.reasons[1], plan.reasons[2]),
        ports=ports(*((*w[:5], 3) for w in whole), *((*r[:5], 2) for r in rows[1:])),
        cells=plan.cells,
    )
    before = tables.written
    tables.switch(wanted(renumbered, book=book), Stance())
    assert tables.written - before == 1  # the other set still has the row; numbers of reasons are not the plan's


def test_what_does_not_fit_changes_nothing_and_says_the_figures(kernel: FlowKernel, tables: Tables) -> None:
    fits = wanted(make_plan(cells=cells(*((1, n, 3) for n in range(1, 31)))))
    generation = tables.switch(fits, Stance())
    large = wanted(make_plan(cells=cells(*((2, n, 3) for n in range(1, 12)))))
    with pytest.raises(TooLargeError, match="cells: 11 entries beside the 30 in force, the table holds 40 for both"):
        tables.switch(large, Stance())
    assert tables.generation == generation
    assert same(kernel_holds(kernel, generation & 1), fits)


def test_a_kernel_that_has_no_room_is_survived(kernel: FlowKernel, tables: Tables) -> None:
    """The limit that we believe in is not the kernel's: half a set is written, and thrown away."""
    generation = tables.switch(wanted(make_plan(cells=cells(*((1, n, 3) for n in range(1, 31))))), Stance())
    tables.limits = {**asdict(SMALL), "cells": 10_000}
    large = wanted(make_plan(cells=cells(*((2, n, 3) for n in range(1, 100)))))
    with pytest.raises(TooLargeError, match="no room"):
        tables.switch(large, Stance())
    assert tables.generation == generation
    small = wanted(make_plan())
    assert tables.switch(small, Stance()) == generation + 1
    assert same(kernel_holds(kernel, tables.current), small)


def test_a_successor_continues_where_its_predecessor_ended(kernel: FlowKernel, tables: Tables) -> None:
    first = wanted(make_plan(), POD)
    tables.switch(first, Stance())
    again = Tables(kernel.maps, asdict(SMALL))
    assert again.generation == tables.generation
    assert again.holds("cells") == 1
    second = wanted(make_plan(cells=cells()), POD)
    assert again.switch(second, Stance()) == tables.generation + 1
    assert same(kernel_holds(kernel, again.current), second)
    again.close()


def test_the_generation_never_becomes_nothing(kernel: FlowKernel, tables: Tables) -> None:
    tables.generation = 0xFFFF_FFFF
    first = wanted(make_plan())
    assert tables.switch(first, Stance()) == 2
    assert same(kernel_holds(kernel, 0), first)


def test_links_have_no_sets(kernel: FlowKernel, tables: Tables) -> None:
    tables.set_links(set(), {2, 3})
    tables.set_links({2, 3}, {3, 4})
    assert tables.links() == {3, 4}
    tables.set_links({3, 4}, set())


def test_reasons_have_numbers_of_their_own() -> None:
    a, b = ReasonBook(), ReasonBook()
    plan = make_plan()
    forward, back = a.numbers(plan.reasons), b.numbers((plan.reasons[0], *plan.reasons[:0:-1]))
    assert forward[0] == back[0] == 0
    assert forward[1:].tolist() == back[:0:-1].tolist()  # whatever the order, and in any process
    assert a.key(int(forward[1])) == "NetworkPolicy shop/web ingress[0]"
    assert a.key(0xFFFFFFFC) == "Spoofed"
    assert a.key(0) is None
    assert a.key(12345) is None
    column = a.words(np.array([forward[2], 0, 0xFFFFFFFE, forward[2]], np.uint32))
    assert [column.words[c] for c in column.codes] == [
        "NetworkPolicy shop/web ingress isolation", None, "Exempt own-node", "NetworkPolicy shop/web ingress isolation",
    ]  # fmt: skip
    a.keep([plan.reasons[1], plan.reasons[3]])
    assert a.size == 2
    assert [a.key(int(n)) is None for n in forward[1:]] == [False, True, False]
    assert a.numbers([plan.reasons[0], replace(plan.reasons[1], text="other words")])[1] == forward[1]
