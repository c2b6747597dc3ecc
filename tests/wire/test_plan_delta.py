"""old + delta = new, for any two plans; a delta is refused wherever it does not belong."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from eastwest.model.plan import NodePlan, Ruling
from eastwest.wire.plan import PlanError, encode, sealed
from eastwest.wire.plan_delta import apply, decode_delta, delta, encode_delta, read
from wire.factories_plan import cells, make_plan, plans, ports
from wire.test_plan import same


@given(plans(), plans())
def test_old_and_delta_are_new(old: NodePlan, new: NodePlan) -> None:
    new = sealed(new, 2)
    raw = encode_delta(delta(old, new))
    assert same(apply(old, decode_delta(raw)), new)
    assert same(read(raw, old), new)
    assert same(read(encode(new), old), new)


def test_a_delta_carries_what_changed_and_no_more() -> None:
    rows = [(1, n, 3) for n in range(1, 5001)]
    old = make_plan(cells=cells(*rows))
    new = make_plan(2, cells=cells(*rows[:2500], *rows[2501:], (2, 1, 2)))
    change = delta(old, new)
    assert change.removed["cells"].tolist() == [(1, 2501, 3)]
    assert change.added["cells"].tolist() == [(2, 1, 2)]
    assert (change.pods, change.gone_pods, change.reasons) == ((), (), {})
    assert len(encode_delta(change)) < 1500 < len(encode(new)) // 20


def test_an_empty_delta_moves_the_version() -> None:
    old = make_plan()
    assert apply(old, delta(old, make_plan(2))).version == 2


@pytest.mark.parametrize("wrong", [{"version": 9}, {"digest": "f" * 32}, {"node": "n2"}])
def test_another_base_is_refused(wrong: dict[str, object]) -> None:
    old, change = make_plan(), delta(make_plan(), make_plan(2, ranges=()))
    with pytest.raises(PlanError, match="the delta is for plan 1"):
        apply(replace(old, **wrong), change)


def test_a_delta_that_leads_elsewhere_is_refused() -> None:
    old, new = make_plan(), make_plan(2, cells=cells((1, 1, 3)))
    change = delta(old, new)
    with pytest.raises(PlanError, match="digest"):
        apply(old, replace(change, digest="0" * 32))
    with pytest.raises(PlanError, match="removes rows"):
        apply(old, replace(change, removed={**change.removed, "cells": cells((5, 5, 5))}))
    with pytest.raises(PlanError, match="adds rows"):
        apply(
            old,
            replace(
                change, removed={**change.removed, "cells": old.cells[:0]}, added={**change.added, "cells": old.cells}
            ),
        )
    with pytest.raises(PlanError, match="reasons"):
        apply(old, replace(change, n_reasons=9))
    with pytest.raises(PlanError, match="removes 'x'"):
        apply(old, replace(change, gone_pods=("x",)))


def test_a_delta_needs_a_plan() -> None:
    with pytest.raises(PlanError, match="ask for a snapshot"):
        read(encode_delta(delta(make_plan(), make_plan(2))), None)


def test_damage_anywhere_is_noticed() -> None:
    old = make_plan()
    more = (*((r, 0, 0, 0, Ruling.ALLOW, 4) for r in (1, 2, 3)),)
    new = make_plan(2, ports=ports(*more), reasons=(*old.reasons, old.reasons[1]), pods=old.pods[1:])
    raw = encode_delta(delta(old, new))
    assert same(read(raw, old), new)
    for at in range(len(raw)):
        with pytest.raises(PlanError):
            decode_delta(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    with pytest.raises(PlanError, match="kind 1 where 2"):
        decode_delta(encode(new))
