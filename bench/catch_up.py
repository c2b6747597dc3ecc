"""How long an agent takes to hand over what waited on its disk while the server was away.

    python bench/catch_up.py [--windows 600] [--records 200] [--pods 30]

Real spool, outbox, shipper and server; the windows' records are made up. Each row is a spool of its own, sent with one window
a request and with as many as fit. Prints a table; nothing is judged: the time is mostly the store's.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path[:1] = [str(Path(__file__).parent.parent), str(Path(__file__).parent.parent / "tests")]
from api.factories_batches import columns, recent  # noqa: E402
from api.running import RunningServer  # noqa: E402
from eastwest.agent import shipper  # noqa: E402
from eastwest.agent.outbox import Outbox  # noqa: E402
from eastwest.agent.shipper import Shipper  # noqa: E402
from eastwest.agent.spool import Spool  # noqa: E402
from eastwest.model.batch import Amount, Books  # noqa: E402
from eastwest.wire.batch import encode_records  # noqa: E402
from store.factories_flows import SECOND, header, pod, record  # noqa: E402


def fill(box: Outbox, windows: int, records: int, pods: int) -> int:
    """`windows` of a second each, ending now; the bytes that wait."""
    rng = np.random.default_rng(1)
    began = recent(windows + 5)
    books = tuple(Books(f"uid-{i}", f"veth{i}", Amount(1, 1), Amount(1, 1)) for i in range(pods))
    for w in range(windows):
        at = began + w * SECOND
        peers = rng.integers(0, 250, (records, 2))
        rows = [
            record(pod(f"a{a}", "", "", ip=f"10.0.0.{a}"), pod(f"b{b}", "", "", ip=f"10.0.1.{b}"), at=at)
            for a, b in peers
        ]
        for row in rows:
            row["window_end_ns"] = at + SECOND
        made = header(0, at=at, window_end_ns=at + SECOND, records=records, books=books)
        box.put(made, encode_records(columns(rows), records), Amount(1, 1))
    return box.bytes


def measure(most: int, windows: int, records: int, pods: int) -> tuple[float, float, int]:
    """Seconds until all is handed over, processor seconds of the agent's end, bytes."""
    shipper.MAX_BATCHES = most  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder, RunningServer(Path(folder) / "server") as server:
        box = Outbox(spool=Spool(Path(folder) / "spool"))
        box.boot("bench")
        size = fill(box, windows, records, pods)
        sending = Shipper(box, lambda: server.client())
        began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        sending.start()
        while len(box):
            time.sleep(0.01)
        took = time.monotonic() - began
        now = resource.getrusage(resource.RUSAGE_SELF)
        sending.stop(1)
        found = sum(e["connections"] for e in server.get("/api/v1/service-map", window="1h").json()["edges"])
        assert found == windows * records, (found, windows * records)
        return took, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, size


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--windows", type=int, default=600)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--pods", type=int, default=30)
    args = parser.parse_args(argv)
    for most in (1, 128):
        took, cpu, size = measure(most, args.windows, args.records, args.pods)
        print(
            f"{args.windows} windows of {args.records} records, {size / 1e6:.1f} MB, at most {most:3} a request: "
            f"{took:6.1f} s, {args.windows / took:6.1f} windows/s, {cpu:.1f} s of processor time in the agent",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
