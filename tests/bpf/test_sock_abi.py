"""sock.h, drop.h, dns.h and resolve.h against their mirrors in Python, through the objects' own BTF."""

from __future__ import annotations

import json
import re
import subprocess
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eastwest.agent import resolve
from eastwest.agent.dns import record as dns
from eastwest.agent.drop import record as drop
from eastwest.agent.loader import OBJECTS
from eastwest.agent.sock import record as sock

pytestmark = pytest.mark.root  # bpftool
BPF = Path(__file__).parents[2] / "bpf"


def struct_of(name: str, struct: str) -> dict[str, Any]:
    words = ["bpftool", "-j", "btf", "dump", "file", str(OBJECTS / f"{name}.bpf.o")]
    types = json.loads(subprocess.run(words, capture_output=True, check=True).stdout)["types"]
    return next(t for t in types if (t["kind"], t["name"]) == ("STRUCT", struct))


@pytest.mark.parametrize(
    ("name", "struct", "dtype"),
    [
        ("sock", "sock_record", sock.RECORD),
        ("drop", "drop_key", drop.KEY),
        ("drop", "drop_value", drop.VALUE),
        ("resolve", "resolve_slot", resolve.SLOT),
    ],
)
def test_layout(name: str, struct: str, dtype: np.dtype[Any]) -> None:
    compiled = struct_of(name, struct)
    assert dtype.itemsize == compiled["size"]
    assert dtype.fields is not None
    mirrored = {field: place[1] for field, place in dtype.fields.items()}
    assert {m["name"]: m["bits_offset"] // 8 for m in compiled["members"]} == mirrored


def test_the_dns_header() -> None:
    """No map holds this struct, so the object has no BTF of it: the header's own text is read."""
    body = re.search(r"struct dns_record {(.*?)};", (BPF / "dns/dns.h").read_text(), re.DOTALL)
    assert body is not None
    codes = {"__u8": "B", "__u16": "H", "__u32": "I", "__u64": "Q"}
    fields = re.findall(r"(__u\d+) (\w+)(?:\[(\d+)\])?;", body[1])
    written = "".join(
        {"_zero": f"{count}x"}.get(name, f"{count}s" if count else codes[kind]) for kind, name, count in fields
    )
    assert "<" + written == dns.HEADER.format


@pytest.mark.parametrize(
    ("name", "enum", "prefix", "mirror"),
    [
        ("sock", "sock_counter", "SOCK_", sock.Counter),
        ("sock", "sock_role", "ROLE_", sock.Role),
        ("sock", "sock_flag", "SOCK_", sock.Flag),
        ("drop", "drop_counter", "DROP_", drop.Counter),
        ("drop", "drop_flag", "DROP_", drop.Flag),
        ("dns", "dns_counter", "DNS_", dns.Counter),
    ],
)
def test_enums(name: str, enum: str, prefix: str, mirror: type[IntEnum]) -> None:
    body = re.search(rf"enum {enum} {{(.*?)}};", (BPF / name / f"{name}.h").read_text(), re.DOTALL)
    assert body is not None
    written = {w.removeprefix(prefix): int(n) for w, n in re.findall(r"(\w+) = (\d+)", body[1])}
    written.pop("COUNTERS", None)
    assert written == {member.name: int(member) for member in mirror}


def test_phases() -> None:
    assert re.findall(r"PHASE_(\w+) = \d", (BPF / "sock/sock.h").read_text()) == [p.upper() for p in sock.PHASES]
