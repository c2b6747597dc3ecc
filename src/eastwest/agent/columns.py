"""Edges as the columns of the wire: the agent's vocabulary into the schema's. Pure and vectorised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from eastwest.agent.abi import COUNTED_IN, ROLE_SOURCES, ROLES
from eastwest.agent.edges import SUMS, VERDICTS, Edges
from eastwest.model.flow import Protocol, Reporter
from eastwest.model.schema import AGENT_COLUMNS, Type
from eastwest.wire.batch import ColumnData, Maybe, Words

# Tables, because numpy.isin would load numpy.ma: 10 MiB on every node.
_HAS_PORTS: Final = np.zeros(256, np.bool_)
_HAS_PORTS[[Protocol.TCP, Protocol.UDP, Protocol.SCTP]] = True
_IS_UNKNOWN: Final = np.array([role is Reporter.UNKNOWN for role in ROLES])


@dataclass(frozen=True, slots=True)
class Context:
    """What every record of a window shares."""

    cluster: str
    node: str
    window_start_ns: int
    window_end_ns: int
    wall_offset_ns: int  # CLOCK_REALTIME - CLOCK_MONOTONIC
    pod_uids: Mapping[int, str | None]  # by interface index
    reason_words: Callable[[NDArray[Any]], Words] | None = None  # names of reason numbers; None: nothing is enforced
    owners: Mapping[int, str] = field(default_factory=dict)  # host-network pods, by their number in records


def columns(edges: Edges, context: Context) -> dict[str, ColumnData]:
    """Every column of AGENT_COLUMNS, (n,) each."""
    n, keys = len(edges), edges.keys
    one = np.zeros(n, np.intp)
    shown = _IS_UNKNOWN[keys["role"]] & _HAS_PORTS[keys["protocol"]]
    translated = np.asarray(keys["service"].any(axis=1), np.bool_)
    result: dict[str, ColumnData] = {
        "window_start_ns": np.full(n, context.window_start_ns, np.int64),
        "window_end_ns": np.full(n, context.window_end_ns, np.int64),
        "first_seen_ns": _wall(edges.first_ns, context),
        "last_seen_ns": _wall(edges.last_ns, context),
        "cluster": Words(one, (context.cluster,)),
        "node": Words(one, (context.node,)),
        "pod_uid": _pod_uids(keys["ifindex"], keys["owner"], context),
        "reporter": Words(keys["role"], ROLES),
        "role_source": Words(keys["role_source"], ROLE_SOURCES),
        "src_ip": keys["src"],
        "src_port": Maybe(keys["src_port"], shown),
        "dst_ip": keys["dst"],
        "dst_port": keys["dst_port"],
        "protocol": keys["protocol"],
        "service_ip": Maybe(keys["service"], translated),
        "service_port": Maybe(keys["service_port"], translated),
        "counted_in": Words(keys["counted_in"], COUNTED_IN),
    }
    result.update({name: edges.sums[:, i] for i, name in enumerate(SUMS)})
    judged = np.asarray(edges.sums[:, VERDICTS].any(axis=1), np.bool_)
    result.update({name: Maybe(edges.sums[:, VERDICTS][:, i], judged) for i, name in enumerate(SUMS[VERDICTS])})
    if context.reason_words is not None:
        for i, name in enumerate(("allowed_by", "denied_by")):
            result[name] = context.reason_words(edges.reasons[:, i])
    return result | unknown(n, result)


def unknown(n: int, given: Mapping[str, ColumnData]) -> dict[str, ColumnData]:
    """Nulls for every column of AGENT_COLUMNS that is not given: what optional hooks would fill."""
    rest = [c for c in AGENT_COLUMNS if c.name not in given]
    never = np.zeros(n, np.bool_)
    return {
        c.name: Words(np.zeros(n, np.intp), (None,)) if c.type is Type.STRING else Maybe(np.zeros(n, np.uint64), never)
        for c in rest
    }


def _wall(monotonic_ns: NDArray[np.uint64], context: Context) -> NDArray[np.int64]:
    return monotonic_ns.astype(np.int64) + context.wall_offset_ns


def _pod_uids(ifindex: NDArray[Any], owner: NDArray[Any], context: Context) -> Words:
    """By the interface; where a record has an owner, by that."""
    of_interface, of_owner = context.pod_uids, context.owners
    words = (*(of_interface[i] for i in sorted(of_interface)), None, *(of_owner[i] for i in sorted(of_owner)))
    by_interface = _places(ifindex, sorted(of_interface))
    by_owner = _places(owner, sorted(of_owner))
    nobody = len(of_interface)
    codes = np.where(by_interface < 0, nobody, by_interface)
    return Words(np.where(owner == 0, codes, np.where(by_owner < 0, nobody, nobody + 1 + by_owner)), words)


def _places(values: NDArray[Any], known: list[int]) -> NDArray[np.intp]:
    """Where each value stands among those that are known, sorted; -1: nowhere."""
    if not known:
        return np.full(len(values), -1, np.intp)
    table = np.array(known, np.int64)
    at = np.minimum(np.searchsorted(table, values), len(table) - 1)
    return np.where(table[at] == values, at, -1)
