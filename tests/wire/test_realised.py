"""What is in force survives JSON; anything else is refused by the name of its field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eastwest.model.batch import HookStatus
from eastwest.model.realised import Realised, RealisedPod, RefusedPlan
from eastwest.wire.plan import PlanError
from eastwest.wire.realised import from_json, to_json

SAID = Realised(
    "n1",
    12,
    "9f" * 16,
    40,
    1_700_000_000_000_000_000,
    (RealisedPod("u1"), RealisedPod("u2", None, "no interface yet")),
    (HookStatus("policy-ingress", "on"), HookStatus("policy-egress", "refused", "no netfilter program")),
    RefusedPlan(13, "aa" * 16, "cells: 70,000 entries, the table has 65,536"),
)


def test_round_trip() -> None:
    assert from_json(to_json(SAID)) == SAID
    nothing = Realised("n1", 0, "", 0, 0)
    assert from_json(to_json(nothing)) == nothing


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("version",), -1, r"realised\.version: -1 is outside"),
        (("pods",), {}, r"realised\.pods: expected a list"),
        (("pods", 0, "uid"), 5, r"pods\[0\]\.uid: expected text"),
        (("pods", 1, "egress"), False, r"pods\[1\]\.egress: expected text"),
        (("capability", 0, "state"), "maybe", r"capability\[0\]\.state: expected one of"),
        (("refused",), [], r"realised\.refused: expected an object"),
    ],
)
def test_wrong_fields_are_named(path: tuple[Any, ...], value: Any, message: str) -> None:
    raw = json.loads(to_json(SAID))
    at = raw
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(PlanError, match=message):
        from_json(json.dumps(raw).encode())


@given(st.binary(max_size=60))
def test_whatever_arrives_is_refused(noise: bytes) -> None:
    with pytest.raises(PlanError):
        from_json(noise)
