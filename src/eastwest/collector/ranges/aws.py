"""Which AWS service and region an address belongs to, from Amazon's published ip-ranges.json.

The copy in this folder is the same data written compactly: one line per service and region. A fresh ip-ranges.json can
be read in its place at any time.
"""

from __future__ import annotations

import ipaddress
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

SHIPPED: Final = Path(__file__).with_name("aws-ip-ranges.tsv")
_GENERIC: Final = "AMAZON"  # every prefix, also those of no public service
_BROAD: Final = "EC2"  # published beside the services that run on it


@dataclass(frozen=True, slots=True)
class AwsRange:
    """Values as ip-ranges.json has them; region is GLOBAL for what has none."""

    service: str
    region: str


@dataclass(frozen=True, slots=True)
class AwsRanges:
    """Disjoint ranges over all addresses as 128-bit numbers (IPv4 mapped)."""

    created: str
    sync_token: str
    prefixes: int
    _starts: tuple[int, ...]
    _labels: tuple[AwsRange | None, ...]

    def lookup(self, address: int) -> AwsRange | None:
        """The range an address lies in; None outside AWS."""
        at = bisect_right(self._starts, address) - 1
        return self._labels[at] if at >= 0 else None


@cache
def shipped() -> AwsRanges:
    """The ranges that come with the package."""
    return load(SHIPPED)


def load(path: Path) -> AwsRanges:
    """Read ip-ranges.json as Amazon publishes it, or the compact form. Raises ValueError naming the file."""
    return parse(path.read_text(), str(path))


def parse(text: str, where: str) -> AwsRanges:
    """The whole of either form, or ValueError naming `where`: a damaged copy is never used in part."""
    try:
        if text.lstrip().startswith("{"):
            body = json.loads(text)
            prefixes = [(p["ip_prefix"], p["service"], p["region"]) for p in body["prefixes"]]
            prefixes += [(p["ipv6_prefix"], p["service"], p["region"]) for p in body["ipv6_prefixes"]]
            return build(prefixes, body["createDate"], body["syncToken"])
        head = dict(line[2:].split(": ", 1) for line in text.splitlines() if line.startswith("# ") and ": " in line)
        rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
        prefixes = [(prefix, service, region) for service, region, many in rows for prefix in many.split()]
        return build(prefixes, head["createDate"], head["syncToken"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{where}: not AWS address ranges: {error!r}") from None


def compact(path: Path) -> str:
    """The compact form of an ip-ranges.json."""
    body = json.loads(path.read_text())
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for p in body["prefixes"]:
        groups[p["service"], p["region"]].append(p["ip_prefix"])
    for p in body["ipv6_prefixes"]:
        groups[p["service"], p["region"]].append(p["ipv6_prefix"])
    lines = [
        "# AWS IP address ranges, the same data as https://ip-ranges.amazonaws.com/ip-ranges.json",
        f"# createDate: {body['createDate']}",
        f"# syncToken: {body['syncToken']}",
        "# service<TAB>region<TAB>prefixes",
    ]
    lines += [f"{service}\t{region}\t{' '.join(many)}" for (service, region), many in sorted(groups.items())]
    return "\n".join(lines) + "\n"


def build(prefixes: Iterable[tuple[str, str, str]], created: str, sync_token: str) -> AwsRanges:
    """Longest match; a specific service over EC2 over AMAZON where prefixes of one length meet."""
    _check(created)
    spans = sorted(
        ((*_span(prefix), AwsRange(service, region)) for prefix, service, region in prefixes),
        key=lambda s: (s[3].service != _GENERIC, s[2], s[3].service != _BROAD, s[3].service, s[3].region),
    )
    edges = sorted({0} | {s[0] for s in spans} | {s[1] for s in spans})
    position = {edge: at for at, edge in enumerate(edges)}
    labels: list[AwsRange | None] = [None] * len(edges)
    for start, end, _, label in spans:  # painted from the most general to the most specific
        low, high = position[start], position[end]
        labels[low:high] = [label] * (high - low)
    return AwsRanges(created, sync_token, len(spans), tuple(edges), tuple(labels))


def _check(created: str) -> None:
    """The publisher's own way to write a time. Raises ValueError."""
    datetime.strptime(created, "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC)


def _span(prefix: str) -> tuple[int, int, int]:
    """(first address, one past the last, prefix length) as 128-bit numbers."""
    network = ipaddress.ip_network(prefix)
    offset = 0xFFFF << 32 if network.version == 4 else 0
    start = offset + int(network.network_address)
    return start, start + network.num_addresses, network.prefixlen
