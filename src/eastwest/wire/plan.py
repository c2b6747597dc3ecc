"""A node's plan as bytes, whole: what the server sends first and the agent keeps on disk (`plan_delta` is the rest).

frame = b"EWPL" + format (u16) + kind (u16) + header length (u32) + CRC-32 of all that follows (u32), little-endian
      + header (JSON) + the raw rows of each part, in the order and numbers that the header gives

Reading trusts nothing: what is not exactly a plan is a PlanError that says where. `NodePlan.digest` is of the content
alone, so two plans of different versions with the same digest mean the same.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from eastwest.model.plan import CELLS, IDENTITIES, NOBODY, PORTS, Mode, NodePlan, PlanPod, Posture
from eastwest.wire import plan_rows
from eastwest.wire.plan_header import REASONS, Fields, pack_pod, pack_reasons, unpack_reasons
from eastwest.wire.plan_rows import PlanError

__all__ = ["CONTENT_TYPE", "KIND_HEADER", "PlanError", "canonical", "check", "decode", "digest", "encode", "sealed"]

MAGIC: Final = b"EWPL"
FORMAT: Final = 1
SNAPSHOT, DELTA = 1, 2
LIMIT_BYTES: Final = 256 << 20
CONTENT_TYPE: Final = "application/vnd.eastwest.plan"
KIND_HEADER: Final = "X-Eastwest-Plan"
"""HTTP header of an answer: `snapshot` or `delta`."""

_PREFIX: Final = struct.Struct("<4sHHII")
_PARTS: Final = {"identities": IDENTITIES, "cells": CELLS, "ports": PORTS, "reasons": REASONS}


def plan_path(node: str) -> str:
    """Where a server answers with this node's plan (docs/enforcement.md)."""
    return f"/api/v1/nodes/{quote(node, safe='')}/plan"


def realised_path(node: str) -> str:
    """Where a server hears what is in force on this node."""
    return f"/api/v1/nodes/{quote(node, safe='')}/realised"


def canonical(plan: NodePlan) -> NodePlan:
    """The same plan with everything in the order that bytes and digests have; cheap when it is already."""
    return replace(
        plan,
        pods=tuple(sorted(plan.pods, key=lambda p: p.uid)),
        ranges=tuple(sorted(plan.ranges)),
        sources=tuple(sorted(plan.sources)),
        identities=plan_rows.canonical(plan.identities),
        cells=plan_rows.canonical(plan.cells),
        ports=plan_rows.canonical(plan.ports),
    )


def digest(plan: NodePlan) -> str:
    """32 hexadecimal digits of the content: everything but `version` and `digest`."""
    return _digest(*_content(canonical(plan)))


def sealed(plan: NodePlan, version: int) -> NodePlan:
    """The plan in canonical order with this version and its digest: what an encoder is given."""
    plan = canonical(plan)
    return replace(plan, version=version, digest=_digest(*_content(plan)))


def encode(plan: NodePlan) -> bytes:
    """A snapshot. Raises PlanError when the plan is not sound (see `check`) or its digest is not its content's."""
    plan = canonical(plan)
    check(plan)
    header, parts = _content(plan)
    if plan.digest != _digest(header, parts):
        raise PlanError("digest: not that of the content (see `sealed`)")
    return frame(SNAPSHOT, {**header, "version": plan.version, "digest": plan.digest}, parts)


def decode(raw: bytes) -> NodePlan:
    """The inverse of `encode`. Raises PlanError for everything else."""
    header, parts = unframe(raw, SNAPSHOT, _PARTS)
    plan = NodePlan(
        node=header.text("node"),
        version=header.integer("version"),
        digest=header.text("digest"),
        pods=header.pods("pods"),
        reasons=unpack_reasons(header.texts("words"), parts["reasons"]),
        identities=parts["identities"],
        cells=parts["cells"],
        ports=parts["ports"],
        ranges=header.networks("ranges"),
        posture=header.word("posture", Posture),
        unknown_mode=header.word("unknown_mode", Mode),
        sources=tuple(header.texts("sources")),
    )
    verify(plan)
    return plan


def verify(plan: NodePlan) -> None:
    """Raises PlanError unless the plan is sound and its digest is its content's."""
    plan = canonical(plan)
    check(plan)
    if plan.digest != _digest(*_content(plan)):
        raise PlanError("the content is not what its digest says: ask for a snapshot")


def check(plan: NodePlan) -> None:
    """Raises PlanError unless every part is sound and everything referred to is there. `plan` is canonical."""
    if not plan.reasons or plan.reasons[0] != NOBODY:
        raise PlanError("reasons[0]: must be nobody")
    uids = [p.uid for p in plan.pods]
    if len(set(uids)) != len(uids):
        raise PlanError("pods: a UID appears twice")
    plan_rows.check_identities(plan.identities)
    plan_rows.check_cells(plan.cells)
    plan_rows.check_ports(plan.ports, len(plan.reasons))
    plan_rows.check_rows_exist(_rows_used(plan.pods, plan.cells), plan.ports)


def _rows_used(pods: tuple[PlanPod, ...], cells: NDArray[Any]) -> NDArray[Any]:
    sides = [s.row for p in pods for s in (p.egress, p.ingress) if s.mode is not Mode.OFF]
    return np.concatenate([np.array(sides, np.uint32), cells["row"]])


def _content(plan: NodePlan) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    words, reasons = pack_reasons(plan.reasons)
    header = {
        "node": plan.node,
        "pods": [pack_pod(p) for p in plan.pods],
        "words": words,
        "ranges": list(plan.ranges),
        "posture": plan.posture,
        "unknown_mode": plan.unknown_mode,
        "sources": list(plan.sources),
    }
    return header, {"identities": plan.identities, "cells": plan.cells, "ports": plan.ports, "reasons": reasons}


def _digest(header: Mapping[str, Any], parts: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.sha256(_json(header))
    for name, rows in parts.items():
        found.update(f"{name} {len(rows)}\n".encode())
        found.update(np.ascontiguousarray(rows).view(np.uint8).data)
    return found.hexdigest()[:32]


def frame(kind: int, header: Mapping[str, Any], parts: Mapping[str, NDArray[Any]]) -> bytes:
    """Header and rows as one checked body."""
    text = _json({**header, "rows": {name: len(rows) for name, rows in parts.items()}})
    body = b"".join([text, *(np.ascontiguousarray(rows).tobytes() for rows in parts.values())])
    return _PREFIX.pack(MAGIC, FORMAT, kind, len(text), zlib.crc32(body)) + body


def unframe(raw: bytes, kind: int, dtypes: Mapping[str, np.dtype[Any]]) -> tuple[Fields, dict[str, NDArray[Any]]]:
    """The inverse of `frame`, for parts of these types. Raises PlanError."""
    if len(raw) > LIMIT_BYTES:
        raise PlanError(f"the plan has {len(raw)} bytes, the limit is {LIMIT_BYTES}")
    found, length = kind_of(raw)
    if found != kind:
        raise PlanError(f"a frame of kind {found} where {kind} was expected")
    body = memoryview(raw)[_PREFIX.size :]
    if length > len(body):
        raise PlanError("the frame ends inside its header")
    if zlib.crc32(body) != _PREFIX.unpack_from(raw)[4]:
        raise PlanError("the frame is damaged: its checksum differs")
    header = Fields.parse(bytes(body[:length]), "header")
    counts = Fields(header.get("rows"), "header.rows")
    parts, at = {}, length
    for name, dtype in dtypes.items():
        count = counts.integer(name)
        if count * dtype.itemsize > len(body) - at:
            raise PlanError(f"{name}: {count} rows do not fit into the frame")
        parts[name] = np.frombuffer(body, dtype, count, at)
        at += count * dtype.itemsize
    if at != len(body):
        raise PlanError(f"{len(body) - at} bytes follow the last part")
    return header, parts


def kind_of(raw: bytes) -> tuple[int, int]:
    """(kind, header length) of a frame. Raises PlanError when it is none of this format."""
    if len(raw) < _PREFIX.size:
        raise PlanError("not a plan: too short")
    magic, version, kind, length, _ = _PREFIX.unpack_from(raw)
    if magic != MAGIC:
        raise PlanError(f"not a plan: begins with {magic!r}")
    if version != FORMAT:
        raise PlanError(f"format {version} of plans: this side reads {FORMAT}; run the same version on both sides")
    return kind, length


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()
