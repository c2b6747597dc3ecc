"""Enforcement in words and tables: status, settings, and a node's plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from eastwest.cli._table import UNKNOWN, Head, View, number

Json = dict[str, Any]


def clock(at_ns: int | None) -> str:
    return UNKNOWN if at_ns is None else datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%H:%M:%S")


def status(found: Json, by: str | None) -> Iterator[View]:
    """The tables that were asked for; the first carries what is wrong as a note."""
    tables = {"node": _nodes, "namespace": _namespaces, "policy": _policies, "pod": _pods}
    for name in (by,) if by else ("namespace", "policy", "node"):
        view = tables[name](found)
        if name == (by or "namespace") and found["trouble"]:
            view = View(view.title, view.heads, view.rows, [*_held_back(found), *view.notes])
        yield view


def _held_back(found: Json) -> Iterator[str]:
    """Everything that is not in force as the cluster has it, one line each."""
    for one in found["held_back"]:
        who = [f"{one['pods']} pods"] * bool(one["pods"]) + [f"nodes {', '.join(one['nodes'])}"] * bool(one["nodes"])
        held = ", ".join(who) or "nobody at present"
        yield f"held back since {clock(one['since_ns'])}: {one['message']}; {one['scope']} ({held})"
    if not found["held_back"]:
        yield f"not compiled since {clock(found['trouble']['since_ns'])}: {found['trouble']['message']}"


def _namespaces(found: Json) -> View:
    heads = [Head("NAMESPACE", style="cyan"), Head("DIRECTION"), Head("MODE"), number("PODS"), Head("IN FORCE")]
    rows = [
        [
            n["namespace"],
            n["direction"],
            _mode(n),
            str(n["pods"]),
            UNKNOWN if n["in_force"] is None else str(n["in_force"]),
        ]
        for n in found["namespaces"]
    ]
    return View("namespaces", heads, rows, [f"default posture: {p}" for p in _posture_texts(found["settings"])])


def _mode(entry: Json) -> str:
    nodes = ", ".join(f"{n['node']}: {n['mode']}" for n in entry["nodes"])
    return f"{entry['mode']} ({nodes})" if nodes else str(entry["mode"])


def _policies(found: Json) -> View:
    rows = [[p["policy"], p["tier"], p["text"]] for p in found["policies"]]
    return View("policies", [Head("POLICY", style="cyan"), Head("TIER"), Head("STATE")], rows)


def _nodes(found: Json) -> View:
    heads = [
        Head("NODE", style="cyan"),
        number("PLAN"),
        number("IN FORCE"),
        number("PODS"),
        number("WAITING"),
        Head("SINCE"),
        Head("HOOKS"),
        Head("WHY"),
    ]
    rows = [
        [
            n["node"],
            str(n["version"]),
            str(n["realised_version"] or UNKNOWN),
            str(n["pods"]),
            str(len({w["uid"] for w in n["missing"]})),
            clock(n["since_ns"]),
            _hooks(n["capability"]),
            n["reason"] or "",
        ]
        for n in found["nodes"]
    ]
    return View("nodes", heads, rows)


def _hooks(capability: Iterable[Json]) -> str:
    return ", ".join(f"{h['name']} {h['state']}" for h in capability) or UNKNOWN


def _pods(found: Json) -> View:
    rows = [
        [f"{w['namespace']}/{w['name']}", n["node"], w["direction"], w["reason"]]
        for n in found["nodes"]
        for w in n["missing"]
    ]
    notes = [] if rows else ["every pod whose mode is not off follows the newest plan"]
    return View(
        "pods that wait", [Head("POD", style="cyan"), Head("NODE"), Head("DIRECTION"), Head("WHY")], rows, notes
    )


def modes(settings: Json) -> View:
    """What is asked for now."""
    rows = [[m["namespace"], m["direction"], _mode(m)] for m in settings["modes"]]
    return View("modes", [Head("NAMESPACE", style="cyan"), Head("DIRECTION"), Head("MODE")], rows)


def postures(settings: Json) -> View:
    rows = [[p["scope"], p["name"] or "", p["posture"]] for p in settings["postures"]]
    return View("default posture", [Head("SCOPE", style="cyan"), Head("NAME"), Head("POSTURE")], rows)


def _posture_texts(settings: Json) -> list[str]:
    return [f"{p['scope']} {p['name'] or ''}".strip() + f" {p['posture']}" for p in settings["postures"]]


def plan(found: Json) -> Iterator[str]:
    """The whole plan, pod by pod."""
    sizes = ", ".join(f"{n} {name}" for name, n in found["sizes"].items())
    state = (
        "in force" if found["realised_version"] == found["version"] else f"in force there: {found['realised_version']}"
    )
    yield f"{found['node']}: plan {found['version']} ({sizes}); {state}"
    yield f"  policies: {', '.join(found['policies']) or 'none'}"
    yield f"  a pod it does not know: {found['posture']}, mode {found['unknown_mode']}"
    for side in found["sides"]:
        yield f"{side['namespace']}/{side['name']} {side['direction']}: {side['mode']}"
        word = "from" if side["direction"] == "ingress" else "to"
        for group in side["peers"]:
            yield f"  {word} {', '.join(group['peers'])}"
            for clause in group["clauses"]:
                yield f"    {clause['what']}: {'allowed' if clause['allowed'] else 'denied'} by {clause['reason']}"


def difference(found: Json) -> Iterator[str]:
    """As a diff."""
    change = found["difference"]
    against = f"plan {change['against']}" if change["against"] is not None else "nothing known"
    yield f"--- {found['node']}: {against}, in force"
    yield f"+++ {found['node']}: plan {found['version']}"
    yield from (f"- {line}" for line in change["gone"])
    yield from (f"+ {line}" for line in change["come"])
