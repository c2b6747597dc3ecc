"""Permitted connections as graphs: Graphviz and Mermaid, workloads grouped by namespace, the outside as dashed nodes."""

from __future__ import annotations

from collections.abc import Iterable

Edge = tuple[str, str, str]
"""From, to, ports; workloads as ns/name[Kind], everything else is outside."""


def dot(edges: Iterable[Edge]) -> str:
    """A directed Graphviz graph."""
    listed = list(edges)
    lines = ["digraph connections {", "  rankdir=LR; node [shape=box, style=rounded];"]
    for i, (namespace, members) in enumerate(_namespaces(listed).items()):
        lines.append(f"  subgraph cluster_{i} {{ label={_quoted(namespace)};")
        lines += [f"    {_quoted(m)} [label={_quoted(m.partition('/')[2])}];" for m in members]
        lines.append("  }")
    lines += [f"  {_quoted(end)} [shape=ellipse, style=dashed];" for end in _outside(listed)]
    lines += [f"  {_quoted(src)} -> {_quoted(dst)} [label={_quoted(ports)}];" for src, dst, ports in listed]
    return "\n".join([*lines, "}"])


def mermaid(edges: Iterable[Edge]) -> str:
    """A Mermaid flowchart."""
    listed = list(edges)
    names = {end: f"n{i}" for i, end in enumerate(sorted({e for edge in listed for e in edge[:2]}))}
    lines = ["flowchart LR"]
    for i, (namespace, members) in enumerate(_namespaces(listed).items()):
        lines.append(f'  subgraph s{i}["{namespace}"]')
        lines += [f'    {names[m]}["{m.partition("/")[2]}"]' for m in members]
        lines.append("  end")
    lines += [f'  {names[end]}(["{end}"])' for end in _outside(listed)]
    lines += [f'  {names[src]} -->|"{ports}"| {names[dst]}' for src, dst, ports in listed]
    return "\n".join(lines)


def _is_workload(end: str) -> bool:
    return end.endswith("]")


def _namespaces(edges: Iterable[Edge]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for end in sorted({e for edge in edges for e in edge[:2] if _is_workload(e)}):
        out.setdefault(end.partition("/")[0], []).append(end)
    return out


def _outside(edges: Iterable[Edge]) -> list[str]:
    return sorted({e for edge in edges for e in edge[:2] if not _is_workload(e)})


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
