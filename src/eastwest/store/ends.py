"""The ends of an edge on the map: what makes two ends the same one, and what else is known of each."""

from __future__ import annotations

from typing import Final

PODS_LISTED: Final = 10_000
"""Pods named per edge in an answer to Edges; more are not told apart."""


def _address(side: str) -> str:
    """Text of an address; a mapped one as IPv4."""
    return rf"replaceRegexpOne(toString({side}_ip), '^::ffff:(\\d+\\.\\d+\\.\\d+\\.\\d+)$', '\\1')"


def identity(side: str, level: str) -> str:
    """The parts of an end's identity on the map: kind, namespace, name, workload_kind, region."""
    owned = f"{side}_kind = 'pod' AND isNotNull({side}_workload)" if level == "workload" else "0"
    pod_name = f"{side}_workload" if level == "workload" else f"{side}_pod"
    inside = f"{side}_kind IN ('pod', 'service')"
    return f"""if({owned}, 'workload', toString({side}_kind)) AS source_kind,
  if({inside}, toString(ifNull({side}_namespace, '')), '') AS source_namespace,
  if({owned}, toString(ifNull({side}_workload_kind, '')), '') AS source_workload_kind,
  if({side}_kind = 'aws', toString(ifNull({side}_region, '')), '') AS source_region,
  toString(multiIf(
    {owned}, {pod_name}, {side}_kind = 'pod', ifNull({side}_pod, {_address(side)}),
    {side}_kind = 'node', ifNull({side}_node, {_address(side)}),
    {side}_kind = 'service', ifNull(service, {_address(side)}),
    {side}_kind = 'aws', ifNull({side}_aws_service, {_address(side)}),
    {side}_dns_name = '__other__', '__other__', {side}_kind = 'internet', ifNull({side}_dns_name, {_address(side)}),
    {_address(side)})) AS source_name""".replace("source_", "source_" if side == "src" else "target_")


END_PARTS: Final = tuple(
    f"{end}_{part}" for end in ("source", "target") for part in ("kind", "namespace", "workload_kind", "region", "name")
)


def known_of(side: str, end: str, level: str) -> str:
    """What else an edge knows of one end: its pods (behind a workload) or owner (of a pod), and its zones' extremes."""
    zones = f"min(e.{side}_zone) AS {end}_first_zone, max(e.{side}_zone) AS {end}_last_zone"
    if level == "workload":
        return f"groupUniqArray({PODS_LISTED})(e.{side}_pod) AS {end}_pods, {zones}"
    owner = f"any(e.{side}_workload) AS {end}_owner, any(e.{side}_workload_kind) AS {end}_owner_kind"
    return f"{owner}, {zones}"
