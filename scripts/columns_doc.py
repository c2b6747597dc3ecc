"""Writes docs/columns.md from the schema; `--check` only says whether it is current (exit 1 when not)."""

from __future__ import annotations

import sys
from pathlib import Path

from eastwest.model.schema import COLUMNS

TARGET = Path(__file__).parent.parent / "docs" / "columns.md"
HEAD = """# Columns of a flow record

Generated from `src/eastwest/model/schema.py` by `scripts/columns_doc.py`; do not edit. These names are the words of the
filter language, of the JSON API and of `flows.parquet` in an evidence bundle. Unknown is null, never 0.

| column | type | unit | role | merged by | filled in by | meaning |
| --- | --- | --- | --- | --- | --- | --- |
"""


def document() -> str:
    """The page as text."""
    rows = [
        f"| `{c.name}` | {c.type}{' or null' if c.nullable else ''} | {c.unit or ''} | {c.role} | {c.merge} | {c.stage} | {c.doc} |"
        for c in COLUMNS
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if TARGET.exists() and TARGET.read_text() == document() else 1)
    TARGET.write_text(document())
