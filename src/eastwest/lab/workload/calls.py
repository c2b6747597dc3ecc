"""The annotation `eastwest.lab/calls`: what a pod calls, how often, or as part of answering which request.

A YAML list. Each item:

    to: GET http://catalog.catalog.svc/products   # [METHOD] URL; http, https (plain HTTP on 443), tcp, udp, sctp, dns
                                                  # a list = one after the other, the first failure ends it
    rate: 2/s                # or 10/m; or every: 30s; or when: POST /purchase (while serving that request)
    keepalive: true          # keep the connection and use it again; default false, a new one for each call
    connections: 4           # with keepalive: take turns over this many connections; default 1
    family: 4                # 4 or 6; default 4
    timeout: 2s              # default 2s
    bytes: 64                # size of the body or payload sent; default 64

In a Job every call is made once and the container ends: exit code 0 when all succeeded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import yaml

from eastwest.lab.state import LabError

ANNOTATION: Final = "eastwest.lab/calls"
CLIENTS_ANNOTATION: Final = "eastwest.lab/clients"
_PORTS: Final = {"http": 80, "https": 443, "dns": 53}
_TARGET: Final = re.compile(
    r"(?:(?P<method>[A-Z]+) )?(?P<scheme>http|https|tcp|udp|sctp|dns)://"
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[^/:\s]+)(?::(?P<port>\d+))?(?P<path>/\S*)?"
)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}
_FIELDS: Final = {"to", "rate", "every", "when", "keepalive", "connections", "family", "timeout", "bytes"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where one call goes. `host` is a name or an address."""

    scheme: str
    host: str
    port: int
    path: str = "/"
    method: str = "GET"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path if self.scheme.startswith('http') else ''}"


@dataclass(frozen=True, slots=True)
class Call:
    """One item of the list. `when` ("POST /purchase") excludes `period_s`; both None: once at start."""

    targets: tuple[Target, ...]
    period_s: float | None = None
    when: str | None = None
    keepalive: bool = False
    connections: int = 1
    family: int = 4
    timeout_s: float = 2.0
    size_bytes: int = 64


def parse(text: str, *, default_host: str | None = None) -> list[Call]:
    """The calls of an annotation. Raises LabError naming the item and the field.

    With `default_host` a target may be a path alone (`POST /purchase`): load from outside to that host.
    """
    try:
        items = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LabError(f"not YAML: {error}") from error
    if items is None:
        return []
    if not isinstance(items, list):
        raise LabError("must be a list of calls")
    return [_call(item, f"[{i}]", default_host) for i, item in enumerate(items)]


def _call(item: Any, where: str, default_host: str | None) -> Call:
    if not isinstance(item, dict):
        raise LabError(f"{where}: must be a mapping such as {{to: http://catalog.catalog.svc/, rate: 2/s}}")
    unknown = sorted(str(k) for k in item.keys() - _FIELDS)
    if unknown:
        raise LabError(f"{where}.{unknown[0]}: unknown field; known are {', '.join(sorted(_FIELDS))}")
    to = item.get("to")
    texts = to if isinstance(to, list) else [to]
    targets = tuple(_target(t, f"{where}.to", default_host) for t in texts)
    if not targets:
        raise LabError(f"{where}.to: is empty")
    timing = [k for k in ("rate", "every", "when") if k in item]
    if len(timing) > 1:
        raise LabError(f"{where}: {' and '.join(timing)} exclude each other")
    period = None
    if "rate" in item:
        period = _rate(str(item["rate"]), f"{where}.rate")
    elif "every" in item:
        period = duration(str(item["every"]), f"{where}.every")
    family = item.get("family", 4)
    if family not in (4, 6):
        raise LabError(f"{where}.family: must be 4 or 6")
    return Call(
        targets,
        period,
        _when(item["when"], where) if "when" in item else None,
        bool(item.get("keepalive", False)),
        _positive(item.get("connections", 1), f"{where}.connections"),
        family,
        duration(str(item.get("timeout", "2s")), f"{where}.timeout"),
        _positive(item.get("bytes", 64), f"{where}.bytes"),
    )


def _target(text: Any, where: str, default_host: str | None) -> Target:
    words = str(text).split(" ", 1)
    if default_host is not None and words[-1].startswith("/"):
        text = " ".join([*words[:-1], f"http://{default_host}{words[-1]}"])
    match = _TARGET.fullmatch(str(text))
    if match is None:
        raise LabError(
            f"{where}: {text!r} is not [METHOD] SCHEME://HOST[:PORT][/PATH] with http, https, tcp, udp, sctp or dns"
        )
    scheme = match["scheme"]
    port = int(match["port"]) if match["port"] else _PORTS.get(scheme)
    if port is None or not 0 < port < 65536:
        raise LabError(f"{where}: {text!r} needs a port from 1 to 65535")
    return Target(scheme, match["host"].strip("[]"), port, match["path"] or "/", match["method"] or "GET")


def _when(value: Any, where: str) -> str:
    words = str(value).split()
    if len(words) != 2 or not words[1].startswith("/"):
        raise LabError(f"{where}.when: {value!r} is not METHOD /PATH")
    return f"{words[0].upper()} {words[1]}"


def _rate(text: str, where: str) -> float:
    """Seconds between calls of `2/s` or `10/m`."""
    count, _, unit = text.partition("/")
    try:
        per_unit = float(count)
    except ValueError:
        per_unit = 0.0
    if per_unit <= 0 or unit not in ("s", "m", "h"):
        raise LabError(f"{where}: {text!r} is not a rate such as 2/s or 10/m")
    return _UNITS[unit] / per_unit


def duration(text: str, where: str) -> float:
    """Seconds of `500ms`, `2s`, `5m`, `1h` or a bare number of seconds. Raises LabError."""
    match = _DURATION.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise LabError(f"{where}: {text!r} is not a duration such as 500ms, 2s or 5m")
    return float(match[1]) * _UNITS[match[2]]


def _positive(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise LabError(f"{where}: must be a whole number from 1")
    return value
