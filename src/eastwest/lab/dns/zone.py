"""What names mean in the cluster (Kubernetes DNS specification 1.1.0) and in the lab's internet.

The controller writes it as a file; each DNS server pod reads the file again when it has changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from eastwest.lab.dns.message import AAAA, CNAME, NOERROR, NXDOMAIN, SRV, A, Question, Record

DOMAIN: Final = "cluster.local"
TTL_S: Final = 5
Json = dict[str, Any]
Names = dict[str, list[str]]
"""Name -> addresses; or one entry `CNAME other.name`; or entries `SRV port target`."""


def build(services: Iterable[Json], slices: Iterable[Json], internet: Mapping[str, list[str]]) -> Names:
    """All names, from Service and EndpointSlice objects and the internet's hosts."""
    names: Names = {name: list(addresses) for name, addresses in internet.items()}
    by_service: dict[tuple[str, str], list[Json]] = {}
    for item in slices:
        meta = item["metadata"]
        by_service.setdefault((meta["namespace"], meta["labels"]["kubernetes.io/service-name"]), []).append(item)
    for service in services:
        meta, spec = service["metadata"], service["spec"]
        name = f"{meta['name']}.{meta['namespace']}.svc.{DOMAIN}"
        names.setdefault(f"{meta['namespace']}.svc.{DOMAIN}", [])
        if spec.get("type") == "ExternalName":
            names[name] = [f"CNAME {spec['externalName']}"]
            continue
        headless = spec.get("clusterIP") == "None"
        names[name] = [] if headless else list(spec.get("clusterIPs") or [])
        for port in spec.get("ports") or []:
            if port.get("name"):
                protocol = str(port.get("protocol", "TCP")).lower()
                names[f"_{port['name']}._{protocol}.{name}"] = [f"SRV {port['port']} {name}"]
        if headless:
            always = bool(spec.get("publishNotReadyAddresses"))
            for piece in by_service.get((meta["namespace"], meta["name"]), []):
                _add_endpoints(names, name, piece, always=always)
    return names


def _add_endpoints(names: Names, service: str, piece: Json, *, always: bool) -> None:
    for endpoint in piece.get("endpoints") or []:
        if always or endpoint["conditions"]["ready"]:
            names[service].extend(endpoint["addresses"])
            if endpoint.get("hostname"):
                names.setdefault(f"{endpoint['hostname']}.{service}", []).extend(endpoint["addresses"])


class Zone:
    """The names as a DNS server answers them, read from a file at most every `_FRESH` seconds."""

    _FRESH: Final = 0.05

    def __init__(self, file: Path) -> None:
        self._file = file
        self._names: Names = {}
        self._stamp: tuple[int, int] | None = None
        self._looked = 0.0

    def answer(self, question: Question) -> tuple[int, list[Record]]:
        """Response code and records for one question."""
        self._refresh()
        name = question.name
        records: list[Record] = []
        for _ in range(8):
            entries = self._names.get(name)
            if entries is None:
                known_parent = bool(records)
                return (NOERROR if known_parent else NXDOMAIN), records
            alias = next((e for e in entries if e.startswith("CNAME ")), None)
            if alias is None:
                break
            target = alias.removeprefix("CNAME ").rstrip(".").lower()
            records.append(Record(name, CNAME, TTL_S, target))
            name = target
        for entry in self._names.get(name, []):
            if entry.startswith("SRV "):
                _, port, target = entry.split()
                if question.type == SRV:
                    records.append(Record(name, SRV, TTL_S, (0, 100, int(port), target)))
            elif question.type == (AAAA if ":" in entry else A):
                records.append(Record(name, question.type, TTL_S, entry))
        return NOERROR, records

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < self._FRESH:
            return
        self._looked = now
        try:
            stat = self._file.stat()
            stamp = (stat.st_mtime_ns, stat.st_ino)
            if stamp != self._stamp:
                self._names = json.loads(self._file.read_text())
                self._stamp = stamp
        except FileNotFoundError:
            return
