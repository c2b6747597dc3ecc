"""What was measured last, as the Markdown of docs/performance.md: every figure of the agent that bench-results/agent.json holds.

.venv/bin/python bench/table.py [--write]     prints it; --write: puts it between the marks in docs/performance.md
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[0:1] = [str(ROOT / "tests"), str(ROOT)]
RESULTS, PAGE = ROOT / "bench-results" / "agent.json", ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- measured by `make bench`, written by bench/table.py --write -->", "<!-- end of what was measured -->"


def tables(results: dict[str, Any]) -> str:
    """Two tables: figures against their limits, and throughput; and the machine they are of."""
    return f"{machine(results['machine'])}\n\n{figures(results)}\n{throughput(results.get('throughput', {}))}"


def machine(found: dict[str, Any]) -> str:
    words = f"{found['time'][:16].replace('T', ' ')} UTC, kernel {found['kernel']}, {found['cpus']} cores"
    return f"Measured {words}, load before {found['load before']:.1f}."


def figures(results: dict[str, Any]) -> str:
    from bench.agent import TITLES
    from bench.limits import limit_of

    rows = ["| what | measured | at most |", "| --- | --- | --- |"]
    for part, title in TITLES.items():
        if part in results and part != "throughput":
            rows.append(f"| **{title}** | | |")
            for name, value in results[part].items():
                limit = limit_of("agent", part, name)
                past = limit is not None and value > limit
                shown = f"**{value:g}, past the limit**" if past else f"{value:g}"
                rows.append(f"| {name} | {shown} | {'' if limit is None else f'{limit:g}'} |")
    return "\n".join(rows) + "\n"


def throughput(found: dict[str, dict[str, float]]) -> str:
    from bench.limits import wanted

    if not found:
        return ""
    head = ("throughput", "kept", "quartiles", "off/off", "for the same CPU (off/off)", "a second without")
    head += ("CPU µs a trip without", "more with hooks", "agent", "wanted")
    rows = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name, f in found.items():
        least = next((f"≥ {share:g}" for word, share in wanted().items() if word in name), "")
        cells = (
            f"{name}, {f['blocks']} blocks",
            f"{f['ratio']:.3f}",
            f"{f['ratio low quartile']:.3f}–{f['ratio high quartile']:.3f}",
            f"{f['control']:.3f}",
            f"{f['cpu ratio']:.3f} ({f['cpu control']:.3f})",
            f"{f['rate']:,}",
            f"{f['CPU us a trip']:g}",
            f"{f['hook us a trip']:g}",
            f"{f['agent us a trip']:g}",
            least,
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n" + "\n".join(rows) + "\n"


def written(page: str, made: str) -> str:
    """The page with what stands between the marks replaced. Raises ValueError when they are not there."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{PAGE.name} lacks the line {BEGIN if not mark else END}")
    return f"{before}{BEGIN}\n{made}{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    if not RESULTS.exists():
        print(f"{RESULTS.relative_to(ROOT)} is not there: run bench/agent.py first", file=sys.stderr)
        return 2
    made = tables(json.loads(RESULTS.read_text()))
    if args.write:
        PAGE.write_text(written(PAGE.read_text(), made))
        print(f"written: {PAGE.relative_to(ROOT)}")
    else:
        print(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
