"""The schema is the one list of columns: it must be consistent with itself and with what is generated from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from eastwest.api.models.flows import FlowRow
from eastwest.api.models.prices import Cost
from eastwest.model.schema import (
    AGENT_COLUMNS,
    BY_NAME,
    COLLECTOR_COLUMNS,
    COLUMNS,
    EVIDENCE_REQUIRED,
    MAY_BE_LEFT_OUT,
    Merge,
    Role,
    Type,
)
from eastwest.store import verdicts

ROOT = Path(__file__).parents[2]


def test_names_are_unique_and_snake_case() -> None:
    names = [c.name for c in COLUMNS]
    assert len(set(names)) == len(names)
    assert all(n == n.lower() and n.replace("_", "").isalnum() for n in names)


def test_every_column_belongs_to_one_stage() -> None:
    assert len(AGENT_COLUMNS) + len(COLLECTOR_COLUMNS) == len(COLUMNS)


def test_an_agent_may_leave_out_only_what_may_be_unknown_and_tells_no_records_apart() -> None:
    assert {"policy_denied", "denied_by", "drops", "dst_dns_name"} <= MAY_BE_LEFT_OUT
    assert all(BY_NAME[n].nullable and BY_NAME[n].merge is not Merge.KEY for n in MAY_BE_LEFT_OUT)


def test_units_end_the_name_of_times_and_measures() -> None:
    for column in COLUMNS:
        if column.type is Type.TIME:
            assert column.name.endswith("_ns")
        if column.role is Role.MEASURE:
            assert column.unit is not None
            assert column.unit in column.name or column.name.startswith("policy_")  # all of which count packets
            assert column.merge in (Merge.SUM, Merge.MIN)


def test_keys_merge_as_keys() -> None:
    assert all(c.merge is Merge.KEY for c in COLUMNS if c.role is Role.KEY)


def test_evidence_needs_only_columns_that_exist() -> None:
    assert set(EVIDENCE_REQUIRED) <= set(BY_NAME)


def test_the_flow_table_shows_only_columns_of_the_schema_or_derived_ones() -> None:
    derived = {"wire_bytes_forward", "wire_bytes_reverse", "retransmits", "rtos", "connect_mean_us"}
    derived |= {"rtt_mean_us", "rtt_p50_us", "rtt_p99_us", "missing", *verdicts.DERIVED, *Cost.model_fields}
    assert set(FlowRow.model_fields) - derived <= set(BY_NAME)


def test_the_column_document_is_current() -> None:
    done = subprocess.run([sys.executable, "scripts/columns_doc.py", "--check"], cwd=ROOT)
    assert done.returncode == 0, "run: .venv/bin/python scripts/columns_doc.py"
