# ruff: noqa: S608 - column and table names come from the schema, every value is bound
"""How reports become edges: the one place that knows that both ends report the same traffic.

1. reports  a report that cannot tell initiator from server is turned the way the known reports of the same two ports
            say, else with the lower port as the server's, so that the two ends' reports meet in one edge; host-network
            pods that it knows by their node's address only are named (`hosts`)
2. sides    sums per edge and rank: client's reports (1), server's (2), unknown seen from source (3), destination (4)
3. edges    the best rank there is; a report whose far end had no name at the time is dropped where the other end names
            itself
"""

from __future__ import annotations

from typing import Final

from eastwest.model.schema import BY_NAME, COLUMNS, Merge
from eastwest.store import hosts, verdicts
from eastwest.store.ddl import EDGE_KEYS, ROLLUP_COLUMNS
from eastwest.store.predicates import Predicate
from eastwest.store.questions import Range
from eastwest.store.source import Scope, relation
from eastwest.store.statement import Binder
from eastwest.store.where import condition, early

_SERVICE: Final = ("service_namespace", "service", "service_ip", "service_port")
_READ: Final = tuple(c.name for c in ROLLUP_COLUMNS)
EDGE_SUMS: Final = tuple(c.name for c in COLUMNS if c.merge is Merge.SUM)
_LEAST: Final = "rtt_min_us"
BOTH_ENDS: Final = (
    *(f"{what}_{phase}" for what in ("retransmits", "rtos") for phase in ("syn", "established", "closing")),
    "drops",
    *verdicts.COUNTS,
)
"""Added up over both ends' reports: each end's kernel knows only what itself sent again, dropped or decided."""
_OF_A_SIDE: Final = ("allowed_by", "denied_by")
_ATTRIBUTES: Final = tuple(
    c.name
    for c in ROLLUP_COLUMNS
    if c.merge in (Merge.KEY, Merge.LAST) and c.name not in (*EDGE_KEYS, *_SERVICE, *_OF_A_SIDE, "reporter", "src_port")
)

EDGE_COLUMNS: Final = (
    *EDGE_KEYS,
    *_ATTRIBUTES,
    *_SERVICE,
    "reporter",
    *EDGE_SUMS,
    _LEAST,
    "first_seen_ns",
    "last_seen_ns",
    "wire_bytes_forward",
    "wire_bytes_reverse",
    *verdicts.DERIVED,
    "edge_id",
    "rank",
)
"""What one row of `edges` holds."""

_MIRROR: Final = {"src_": "dst_", "dst_": "src_", "_forward": "_reverse", "_reverse": "_forward"}


def _mirrored(name: str) -> str:
    """The column that takes this one's place when the direction is turned."""
    for part, other in _MIRROR.items():
        if name.startswith(part) or name.endswith(part):
            return name.replace(part, other)
    return name


def _turned(name: str) -> str:
    if name == "dst_port":
        return "if(turn, toUInt16(ifNull(src_port, 0)), dst_port) AS dst_port"
    if name == "zone_pair":
        return "if(turn, concat(r.dst_zone, '>', r.src_zone), r.zone_pair) AS zone_pair"
    other = _mirrored(name)
    return name if other == name or name == "src_port" else f"if(turn, r.{other}, r.{name}) AS {name}"


def _reports(range_: Range, scope: Scope, binder: Binder, where: Predicate, step_ns: int) -> str:
    """Reports with their rank and one direction per connection."""
    condition_text = condition(early(where), binder)
    columns = [*(n for n in _READ if n != "src_port"), *(["step"] if step_ns else [])]
    known = relation(range_, _READ, scope, binder, ["reporter != 'unknown'", condition_text], step_ns)
    certain = f"SELECT {', '.join(columns)}, toUInt8(if(reporter = 'client', 1, 2)) AS rank FROM {known}"
    if scope.unsure:
        certain = f"{certain} UNION ALL {_late(range_, scope, binder, columns, condition_text, step_ns)}"
    return hosts.named(certain, columns, range_, scope, binder) if scope.hosted else certain


def _late(range_: Range, scope: Scope, binder: Binder, columns: list[str], condition_text: str, step_ns: int) -> str:
    """The reports of agents that came too late to see who began, turned the way that the others say."""
    unknown = relation(range_, _READ, scope, binder, ["reporter = 'unknown'"], step_ns)
    told = relation(
        range_,
        ["cluster", "src_ip", "dst_ip", "protocol", "dst_port"],
        scope,
        binder,
        ["reporter != 'unknown'"],
    )
    as_is = "(cluster, src_ip, dst_ip, protocol, dst_port)"
    turned = "(cluster, dst_ip, src_ip, protocol, toUInt16(ifNull(src_port, 0)))"
    # Ports unknown on the source's side count as ephemeral; without ports the lower address is the source.
    guess = (
        "if(dst_port = 0 AND ifNull(src_port, 0) = 0, src_ip > dst_ip, "
        "(toUInt32(ifNull(src_port, 65536)), src_ip) < (toUInt32(dst_port), dst_ip))"
    )
    return f"""SELECT * FROM (
    SELECT {", ".join(_turned(n) for n in columns)}, toUInt8(if(turn, 4, 3)) AS rank
    FROM (
      SELECT *, multiIf({as_is} IN (SELECT * FROM told), 0, {turned} IN (SELECT * FROM told), 1, {guess}) AS turn
      FROM {unknown}
    ) AS r
  ) WHERE {condition_text}""".replace("FROM told", f"FROM {told}")


def _wire_bytes(way: str) -> str:
    """L2 bytes after segmentation: every segment beyond the packets at the hook repeats the L3 and L4 headers.

    TCP headers are taken as 32 bytes (with timestamps, as Linux sends them).
    """
    l3 = "if(startsWith(toString(src_ip), '::ffff:'), 20, 40)"
    l4 = "multiIf(protocol = 6, 32, protocol = 17, 8, 0)"
    repeated = f"if(segments_{way} > packets_{way}, segments_{way} - packets_{way}, 0)"
    return f"bytes_{way} + {repeated} * ({l3} + {l4}) + 14 * greatest(segments_{way}, packets_{way})"


def edges(range_: Range, where: Predicate, scope: Scope, binder: Binder, step_ns: int = 0) -> str:
    """A subquery with EDGE_COLUMNS, one row per edge that fulfils `where`; with `step_ns` one per edge and `step`."""
    keys = ", ".join((*EDGE_KEYS, *(["step"] if step_ns else [])))
    # A hash of anything and NULL is NULL; no name is empty.
    hashed = ", ".join(f"ifNull({n}, '')" if BY_NAME[n].nullable else n for n in EDGE_KEYS)
    sums = ", ".join(f"sum(s.{n}) AS {n}" for n in EDGE_SUMS)
    attributes = ", ".join(f"anyLast(s.{n}) AS {n}" for n in (*_ATTRIBUTES, *_OF_A_SIDE))
    service = ", ".join(f"tupleElement(via, {i}) AS {n}" for i, n in enumerate(_SERVICE, 1))
    via = ", ".join(f"s.{n}" for n in _SERVICE)
    sides = f"""(
  SELECT {keys}, rank, {attributes}, {sums}, min(s.{_LEAST}) AS {_LEAST}, min(s.first_seen_ns) AS first_seen_ns, max(s.last_seen_ns) AS last_seen_ns,
    argMax(tuple({via}), (isNotNull(s.service_ip), s.bytes_forward)) AS via
  FROM ({_reports(range_, scope, binder, where, step_ns)}) AS s
  GROUP BY {keys}, rank
)"""
    # Sums of a nullable column pass over null, and are null when all is.
    both = ", ".join(f"sum(x.{n}) OVER (PARTITION BY {keys}) AS {n}" for n in BOTH_ENDS)
    return f"""(
SELECT *, {verdicts.word()} FROM (
SELECT {keys}, {", ".join(_ATTRIBUTES)}, {service},
  multiIf(rank = 1, 'client', rank = 2, 'server', 'unknown') AS reporter,
  {", ".join(n for n in EDGE_SUMS if n not in BOTH_ENDS)}, {both}, {verdicts.over_sides(keys)}, {_LEAST},
  min(x.first_seen_ns) OVER (PARTITION BY {keys}) AS first_seen_ns, max(x.last_seen_ns) OVER (PARTITION BY {keys}) AS last_seen_ns,
  {_wire_bytes("forward")} AS wire_bytes_forward, {_wire_bytes("reverse")} AS wire_bytes_reverse,
  lower(hex(sipHash128({hashed}))) AS edge_id, rank
FROM {_certain_ends(sides, step_ns) if scope.unnamed else sides} AS x
ORDER BY rank
LIMIT 1 BY {keys}
))"""


def _certain_ends(sides: str, step_ns: int) -> str:
    """Without the reports whose far end has no name where the other end, naming itself, tells of the same traffic."""
    address = f"cluster, src_ip, dst_ip, protocol, dst_port{', step' if step_ns else ''}"
    named = "src_kind != 'unknown' AND dst_kind != 'unknown'"
    return f"""(
  SELECT * FROM (
    SELECT *, max({named} AND rank = 1) OVER (PARTITION BY {address}) AS client_named,
      max({named} AND rank = 2) OVER (PARTITION BY {address}) AS server_named
    FROM {sides}
  ) WHERE NOT ((rank = 2 AND src_kind = 'unknown' AND client_named) OR (rank = 1 AND dst_kind = 'unknown' AND server_named))
)"""
