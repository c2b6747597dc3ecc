"""A rollout on disk: one JSON file in the server's data directory, replaced whole at every change of state."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from eastwest.enforce.modes import Setting
from eastwest.enforce.rollout.gates import BrokenFlow, Finding, Gate
from eastwest.enforce.rollout.machine import Event, State, Status, Stop
from eastwest.enforce.rollout.modes import Modes
from eastwest.enforce.rollout.spec import Limits, Request, Stage, Step
from eastwest.model.flow import Direction
from eastwest.model.plan import Mode
from eastwest.runtime.files import replace_file

FILE: Final = "rollout.json"
VERSION: Final = 1
Json = dict[str, Any]


class SavedError(ValueError):
    """A file that cannot be used; the message says where and what to do."""


def load(data: Path) -> tuple[State, bool] | None:
    """The rollout that was under way, or over, last, and whether its modes were not put in force yet.

    Raises SavedError: guessing would leave a step half applied.
    """
    path = data / FILE
    try:
        raw = json.loads(path.read_text())
        return from_json(raw), bool(raw["pending"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SavedError(
            f"{path}: the rollout's state is damaged ({type(error).__name__}: {error}); put a copy back, or move the file "
            "away: modes then stay as they are in enforcement.json"
        ) from error


def save(data: Path, state: State, *, pending: bool) -> None:
    """Return once it is on disk. Raises OSError."""
    data.mkdir(parents=True, exist_ok=True)
    replace_file(data / FILE, json.dumps({**to_json(state), "pending": pending}, indent=1))


def modes_json(modes: Modes) -> list[Json]:
    """One object a namespace and direction."""
    return [
        {"namespace": namespace, "direction": str(direction), "mode": str(s.mode), "nodes": {n: str(m) for n, m in s.nodes}}
        for (namespace, direction), s in sorted(modes.items())
    ]  # fmt: skip


def _modes(raw: list[Json]) -> Modes:
    return {
        (r["namespace"], Direction(r["direction"])): Setting(
            Mode(r["mode"]), tuple(sorted((n, Mode(m)) for n, m in r["nodes"].items()))
        )
        for r in raw
    }


def to_json(state: State) -> Json:
    """Everything, in the words of the dataclasses."""
    return {
        "version": VERSION,
        **{k: getattr(state, k) for k in ("id", "started_ns", "applied", "step_ns", "realised_ns")},
        "status": str(state.status),
        "request": asdict(state.request),
        "steps": [asdict(step) for step in state.steps],
        "before": modes_json(state.before),
        "own": [list(key) for key in state.own],
        "stops": [asdict(stop) for stop in state.stops],
        "events": [asdict(event) for event in state.events],
    }


def from_json(raw: Json) -> State:
    """The inverse. Raises ValueError, KeyError, TypeError or AttributeError for anything else."""
    if raw["version"] != VERSION:
        raise ValueError(f"version {raw['version']!r}, this server knows {VERSION}")
    return State(
        id=raw["id"],
        request=_request(raw["request"]),
        steps=tuple(_step(s) for s in raw["steps"]),
        before=_modes(raw["before"]),
        started_ns=int(raw["started_ns"]),
        own=tuple((namespace, Direction(direction)) for namespace, direction in raw["own"]),
        status=Status(raw["status"]),
        applied=int(raw["applied"]),
        step_ns=int(raw["step_ns"]),
        realised_ns=raw["realised_ns"],
        stops=tuple(_stop(s) for s in raw["stops"]),
        events=tuple(Event(**e) for e in raw["events"]),
    )


def _names(raw: list[str] | None) -> tuple[str, ...] | None:
    return None if raw is None else tuple(raw)


def _request(raw: Json) -> Request:
    return Request(
        **{
            **raw,
            "namespaces": tuple(raw["namespaces"]),
            "to": Mode(raw["to"]),
            "directions": tuple(map(Direction, raw["directions"])),
            "stages": tuple(Stage(s["name"], _names(s["nodes"]), _names(s["namespaces"])) for s in raw["stages"]),
            "limits": Limits(**raw["limits"]),
        }
    )


def _step(raw: Json) -> Step:
    directions = tuple(map(Direction, raw["directions"]))
    return Step(raw["name"], Mode(raw["mode"]), tuple(raw["namespaces"]), _names(raw["nodes"]), directions)


def _cells(raw: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((namespace, node) for namespace, node in raw)


def _stop(raw: Json) -> Stop:
    return Stop(raw["at_ns"], raw["step"], tuple(_finding(f) for f in raw["findings"]), tuple(raw["rolled_back"]))


def _finding(raw: Json) -> Finding:
    flow = raw["flow"]
    made = None if flow is None else BrokenFlow(**{**flow, "cells": _cells(flow["cells"])})
    return Finding(Gate(raw["gate"]), raw["text"], _cells(raw["cells"]), bool(raw["enforced"]), made)
