"""The name by which each edge's server was looked up, as a column. Pure."""

from __future__ import annotations

import numpy as np

from eastwest.agent.abi import ROLES
from eastwest.agent.dns.names import Names
from eastwest.agent.edges import Edges
from eastwest.model.flow import Reporter
from eastwest.wire.batch import Words

_CLIENT = ROLES.index(Reporter.CLIENT)


def server_names(edges: Edges, names: Names, now_ns: int) -> Words:
    """For edges whose client is the local pod: what it (or else another pod here) asked for to get the address.

    The address is the one it connected to: the Service's, where there is one. Null for every other edge.
    """
    keys = edges.keys
    codes = np.zeros(len(edges), np.intp)
    words: list[str | None] = [None]
    known: dict[str, int] = {}
    translated = np.asarray(keys["service"].any(axis=1))
    asked = np.where(translated[:, None], keys["service"], keys["dst"])
    for row in np.flatnonzero(keys["role"] == _CLIENT).tolist():
        named = names.find(int(keys["ifindex"][row]), asked[row].tobytes(), now_ns)
        if named is None:
            continue
        code = known.get(named.name)
        if code is None:
            code = known[named.name] = len(words)
            words.append(named.name)
        codes[row] = code
    return Words(codes, words)
