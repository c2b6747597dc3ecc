"""Asks network-config-analyzer for every permitted connection of several folders, in a process of its own.

    python nca_driver.py DIR... > answers.json      {dir: [[src, dst, protocol, first port, last port], …]}
                                                    or {dir: "why it refuses to read it"}

Pods are `ns/name`; addresses are `first-last`. Its own warnings and prints never reach our tests.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import warnings
from collections.abc import Iterator

Row = tuple[str, str, str, int, int]


def peers(group) -> list[str]:  # type: ignore[no-untyped-def]
    from nca.CoreDS.Peer import IpBlock

    out = []
    for peer in group:
        if isinstance(peer, IpBlock):
            out += [f"{r.start.address}-{r.end.address}" for r in peer.interval_set]
        else:
            out.append(f"{peer.namespace.name}/{peer.name.partition('(')[0].rsplit('/', 1)[-1]}")
    return out


def rows(folder: str) -> Iterator[Row]:
    from nca.CoreDS.Peer import BasePeerSet
    from nca.CoreDS.ProtocolNameResolver import ProtocolNameResolver
    from nca.NetworkConfig.ResourcesHandler import ResourcesHandler

    BasePeerSet.reset()
    config = ResourcesHandler().get_network_config([folder], [folder], [folder], [folder])
    allowed = config.filter_conns_by_peer_types(config.allowed_connections().all_allowed_conns)
    for cube in allowed:
        one = allowed.get_connectivity_cube(cube)
        sides = [peers(one["src_peers"]), peers(one["dst_peers"])]
        for first in one["protocols"].interval_set:
            for number in range(first.start, first.end + 1):
                name = ProtocolNameResolver.get_protocol_name(number)
                if name not in ("TCP", "UDP", "SCTP"):
                    continue
                for ports in one["dst_ports"].port_set.interval_set:
                    for src in sides[0]:
                        for dst in sides[1]:
                            if src != dst:
                                yield src, dst, name, ports.start, ports.end


def main() -> None:
    warnings.simplefilter("ignore")
    answers: dict[str, list[Row] | str] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for folder in sys.argv[1:]:
            try:
                answers[folder] = list(rows(folder))
            except (SyntaxError, ValueError) as refused:  # it is stricter than the API server
                answers[folder] = str(refused)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
