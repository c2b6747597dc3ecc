"""A plan survives its bytes; a damaged or unsound one is refused with words, whatever arrives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.model.plan import Mode, NodePlan, Ruling, Side
from eastwest.wire import plan as whole
from eastwest.wire.plan import PlanError, canonical, decode, digest, encode, sealed
from wire.factories_plan import cells, identities, make_plan, plan_pod, plans, ports


def same(a: NodePlan, b: NodePlan) -> bool:
    a, b = canonical(a), canonical(b)
    return all(
        np.array_equal(getattr(a, n), getattr(b, n))
        if n in ("identities", "cells", "ports")
        else getattr(a, n) == getattr(b, n)
        for n in NodePlan.__dataclass_fields__
    )


@given(plans())
def test_round_trip(plan: NodePlan) -> None:
    assert same(decode(encode(plan)), plan)


def test_order_does_not_matter_and_content_does() -> None:
    plan = make_plan()
    shuffled = replace(plan, pods=plan.pods[::-1], cells=plan.cells[::-1], ports=plan.ports[::-1])
    assert digest(shuffled) == digest(plan) == plan.digest
    assert encode(shuffled) == encode(plan)
    assert make_plan(7).digest == plan.digest  # the version is no content
    others = [
        make_plan(node="n2"),
        make_plan(posture="deny"),
        make_plan(unknown_mode="audit"),
        make_plan(ranges=()),
        make_plan(sources=()),
        make_plan(pods=plan.pods[:1]),
        make_plan(reasons=(*plan.reasons, plan.reasons[1])),
        make_plan(cells=cells((1, 2, 2))),
        make_plan(identities=plan.identities[:2]),
        make_plan(ports=ports(*((r, 0, 0, 0, Ruling.ALLOW, 3) for r in (1, 2, 3)))),
    ]
    assert len({p.digest for p in [*others, plan]}) == len(others) + 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reasons": ()}, "reasons.0.: must be nobody"),
        ({"cells": cells((1, 2, 3), (1, 2, 2))}, "cells.0.: a table has two rows"),
        ({"cells": cells((1, 2, 9))}, "row 9 is used but has no entry"),
        ({"cells": cells((1, 2, 0))}, "row 0"),
        ({"identities": identities(("::1/127", 0, 1))}, "bits are set beyond"),
        ({"identities": identities(("::1", 0, 1), ("::1", 1, 2))}, "a prefix appears twice"),
        ({"identities": identities(("::1", 7, 1))}, "a kind is neither"),
        ({"identities": identities(("::1", 0, 0))}, "identity 0"),
        ({"ports": ports((1, 6, 80, 7, Ruling.ALLOW, 0))}, "a length is none of"),
        ({"ports": ports((1, 6, 81, 23, Ruling.ALLOW, 0))}, "bits are set beyond a prefix of the port"),
        ({"ports": ports((1, 6, 0, 0, Ruling.ALLOW, 0))}, "a whole row has a protocol"),
        ({"ports": ports((1, 6, 80, 24, Ruling.ALLOW, 99))}, "a reason is not one of the 4"),
        ({"ports": ports((1, 6, 80, 24, Ruling.ALLOW, 0), (1, 6, 80, 24, Ruling.DENY, 1))}, "appears twice in a row"),
        ({"pods": (plan_pod("u", egress=Side(Mode.OFF, 0, 0), ingress=Side(Mode.AUDIT, 1, 99)),)}, "row 99 is used"),
        ({"pods": make_plan().pods[:1] * 2}, "a UID appears twice"),
    ],
)
def test_an_unsound_plan_is_refused_on_both_ends(
    changes: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(**changes)
    with pytest.raises(PlanError, match=message):
        encode(plan)
    with monkeypatch.context() as careless:
        careless.setattr(whole, "check", lambda _: None)
        raw = encode(plan)
    with pytest.raises(PlanError, match=message):
        decode(raw)


def test_a_digest_that_lies_is_refused() -> None:
    with pytest.raises(PlanError, match="digest"):
        encode(replace(make_plan(), digest="0" * 32))


def test_damage_anywhere_is_noticed() -> None:
    raw = encode(make_plan())
    for at in range(len(raw)):
        for wrong in (raw[:at], raw[:at] + bytes([raw[at] ^ 0x40]) + raw[at + 1 :]):
            with pytest.raises(PlanError):
                decode(wrong)
    with pytest.raises(PlanError):
        decode(raw + b"\0")


@given(st.binary(max_size=200), st.integers(0, 400))
def test_whatever_arrives_is_read_or_refused(noise: bytes, at: int) -> None:
    """Also behind a correct checksum."""
    raw = encode(make_plan())
    body = raw[16:]
    broken = body[:at] + noise + body[at + len(noise) :]
    forged = whole._PREFIX.pack(
        whole.MAGIC, whole.FORMAT, whole.SNAPSHOT, int.from_bytes(raw[8:12], "little"), whole.zlib.crc32(broken)
    )
    for candidate in (noise, raw[:16] + noise, forged + broken):
        try:
            assert isinstance(decode(candidate), NodePlan)
        except PlanError:
            continue


def test_a_plan_of_another_format_says_what_to_do() -> None:
    raw = bytearray(encode(make_plan()))
    raw[4] = 9
    with pytest.raises(PlanError, match=r"format 9 .* same version on both sides"):
        decode(bytes(raw))


def test_sealing_gives_version_and_digest() -> None:
    assert sealed(make_plan(), 5).version == 5
