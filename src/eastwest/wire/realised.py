"""What is in force on a node as JSON: written by the agent, read strictly by the server. Field names as in the model."""

from __future__ import annotations

import dataclasses
import json
from typing import Final

from eastwest.model.batch import HookStatus
from eastwest.model.plan import Limits
from eastwest.model.realised import Realised, RealisedPod, RefusedPlan
from eastwest.wire.plan_header import Fields
from eastwest.wire.plan_rows import PlanError

CONTENT_TYPE: Final = "application/json"
LIMIT_BYTES: Final = 16 << 20
_STATES: Final = ("on", "off", "refused")


def to_json(realised: Realised) -> bytes:
    """UTF-8 JSON, one object."""
    return json.dumps(dataclasses.asdict(realised), separators=(",", ":")).encode()


def from_json(raw: bytes) -> Realised:
    """The inverse of `to_json`. Raises PlanError, naming the field."""
    if len(raw) > LIMIT_BYTES:
        raise PlanError(f"realised: {len(raw)} bytes, the limit is {LIMIT_BYTES}")
    top = Fields.parse(raw, "realised")
    refused, limits = top.optional("refused"), top.optional("limits")
    return Realised(
        node=top.text("node"),
        version=top.integer("version"),
        digest=top.text("digest"),
        generation=top.integer("generation"),
        since_ns=top.integer("since_ns"),
        pods=tuple(
            RealisedPod(p.text("uid"), p.optional_text("ingress"), p.optional_text("egress"))
            for p in top.objects("pods")
        ),
        capability=tuple(_hook(h) for h in top.objects("capability")),
        refused=None
        if refused is None
        else RefusedPlan(refused.integer("version"), refused.text("digest"), refused.text("reason")),
        limits=None
        if limits is None  # an agent of before they were told
        else Limits(**{field.name: limits.integer(field.name) for field in dataclasses.fields(Limits)}),
    )


def _hook(fields: Fields) -> HookStatus:
    state = fields.text("state")
    if state not in _STATES:
        raise PlanError(f"{fields.path}.state: expected one of {', '.join(_STATES)}, not {state[:40]!r}")
    return HookStatus(fields.text("name"), state, fields.optional_text("reason"), tuple(fields.texts("columns")))
