"""The numpy types are the C structs: compared field by field with the BTF inside the compiled object."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eastwest.agent.abi import COUNTED_IN, EVENTS, LOST, ROLE_SOURCES, ROLES, STRUCTS
from eastwest.agent.loader import OBJECTS
from eastwest.agent.policy import abi as policy

pytestmark = pytest.mark.root  # bpftool
FLOW = Path(__file__).parents[2] / "bpf" / "flow"
HEADER, POLICY_HEADER = FLOW / "flow.h", FLOW / "policy.h"
EVERY = STRUCTS | policy.STRUCTS


@pytest.fixture(scope="module")
def btf() -> dict[tuple[str, str], dict[str, Any]]:
    dump = subprocess.run(
        ["bpftool", "-j", "btf", "dump", "file", str(OBJECTS / "flow_conntrack.bpf.o")],
        capture_output=True,
        check=True,
    )
    return {(t["kind"], t["name"]): t for t in json.loads(dump.stdout)["types"]}


@pytest.mark.parametrize("name", EVERY)
def test_layout(btf: dict[tuple[str, str], dict[str, Any]], name: str) -> None:
    struct, dtype = btf["STRUCT", name], EVERY[name]
    assert dtype.itemsize == struct["size"]
    fields = dtype.fields
    assert fields is not None
    assert {m["name"]: m["bits_offset"] // 8 for m in struct["members"]} == {n: f[1] for n, f in fields.items()}


@pytest.mark.parametrize(
    ("enum", "words"),
    [
        ("ew_role", ROLES),
        ("ew_role_source", ROLE_SOURCES),
        ("ew_counted_in", COUNTED_IN),
        ("ew_lost", LOST),
        ("ew_event", EVENTS),
    ],
)
def test_enums_are_the_tables(enum: str, words: tuple[str, ...]) -> None:
    body = re.search(rf"enum {enum} {{(.*?)}};", HEADER.read_text(), re.DOTALL)
    assert body is not None
    named = [m for m in re.findall(r"(EW_\w+) = (\d+)", body[1]) if not m[0].endswith("_COUNT")]
    assert [int(number) for _, number in named] == list(range(len(words)))
    for (name, _), word in zip(named, words, strict=True):
        assert name.lower().endswith(word.removeprefix("unparsed_").removesuffix("_discovery"))


@pytest.mark.parametrize(("enum", "words"), [("ew_mode", policy.MODES), ("ew_ruling", policy.RULINGS)])
def test_policy_enums_are_the_tables(enum: str, words: tuple[str, ...]) -> None:
    body = re.search(rf"enum {enum} {{(.*?)}};", POLICY_HEADER.read_text(), re.DOTALL)
    assert body is not None
    assert re.findall(r"EW_[A-Z]+_(\w+) = \d", body[1]) == [w.upper() for w in words]


def test_reasons_of_the_kernel_itself() -> None:
    written = re.findall(r"#define EW_REASON_(\w+) (0x\w+)", POLICY_HEADER.read_text())
    assert {int(number, 16): name.lower() for name, number in written} == policy.KERNEL_REASONS


def test_every_field_is_fixed_width() -> None:
    for dtype in EVERY.values():
        assert dtype.isalignedstruct or not dtype.hasobject
        assert np.zeros(1, dtype).tobytes() == bytes(dtype.itemsize)
