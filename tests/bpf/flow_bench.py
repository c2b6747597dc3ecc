"""The flow programs under BPF_PROG_TEST_RUN: packets in, records and books out. Interface 1 is this machine's loopback,
which test runs may name; nothing is attached to it."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eastwest.agent import bpf
from eastwest.agent.abi import COUNTED_IN, ROLE_SOURCES, ROLES
from eastwest.agent.books import NOTHING, close, recorded_by_interface, since
from eastwest.agent.edges import SUMS, Edges, from_records, merge
from eastwest.agent.kernel import Drained, FlowKernel
from eastwest.agent.sizes import Patience, Sizes
from eastwest.model.batch import Books
from eastwest.model.flow import ip_from_bytes

IFINDEX = 1
DROP_NOTHING = 0xFFFFFFFF  # TCX_NEXT
_UPDATE_BATCH = 26


def run(prog_fd: int, frame: bytes, *, gso_segs: int = 0, repeat: int = 1) -> tuple[int, int]:
    """(return value, mean ns) of a tc program on one frame."""
    context = bytearray(192)
    struct.pack_into("<I", context, 40, IFINDEX)  # __sk_buff.ifindex
    struct.pack_into("<I", context, 164, gso_segs)  # __sk_buff.gso_segs
    data, ctx = ctypes.create_string_buffer(frame, len(frame)), (ctypes.c_char * 192).from_buffer(context)
    attr = struct.pack(
        "<IIIIQQIIIIQQ",
        prog_fd,
        0,
        len(frame),
        0,
        ctypes.addressof(data),
        0,
        repeat,
        0,
        192,
        0,
        ctypes.addressof(ctx),
        0,
    )
    buffer = ctypes.create_string_buffer(attr, 128)
    result = ctypes.CDLL(None, use_errno=True).syscall(321, bpf.PROG_RUN, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), "BPF_PROG_TEST_RUN")
    (retval,) = struct.unpack_from("<I", buffer.raw, 4)
    (duration,) = struct.unpack_from("<I", buffer.raw, 36)
    return retval, duration


@dataclass
class Row:
    """One record in words."""

    reporter: str
    source: str
    src: str
    src_port: int
    dst: str
    dst_port: int
    service: str | None
    service_port: int
    protocol: int
    counted_in: str
    sums: dict[str, int]
    reasons: tuple[int, int]
    """Of the last packets allowed, and of the last denied."""

    def __getattr__(self, name: str) -> int:
        return self.sums[name]


def rows(edges: Edges) -> list[Row]:
    result = []
    for key, sums, reasons in zip(edges.keys, edges.sums.tolist(), edges.reasons.tolist(), strict=True):
        service = key["service"].tobytes()
        result.append(
            Row(
                str(ROLES[key["role"]]),
                str(ROLE_SOURCES[key["role_source"]]),
                str(ip_from_bytes(key["src"].tobytes())),
                int(key["src_port"]),
                str(ip_from_bytes(key["dst"].tobytes())),
                int(key["dst_port"]),
                str(ip_from_bytes(service)) if any(service) else None,
                int(key["service_port"]),
                int(key["protocol"]),
                COUNTED_IN[key["counted_in"]],
                dict(zip(SUMS, sums, strict=True)),
                tuple(reasons),
            )
        )
    return result


@dataclass
class FlowBench:
    """A loaded object with one interface. Use as a context manager."""

    sizes: Sizes = field(default_factory=lambda: Sizes(1024, 64, 256))
    patience: Patience = field(default_factory=Patience)
    enforcing: bool = False

    def __enter__(self) -> Self:
        self.kernel = FlowKernel(self.sizes, self.patience, self.enforcing)
        self.kernel.add_interface(IFINDEX, held=False)
        self._before: dict[int, NDArray[Any]] = {}
        return self

    def __exit__(self, *_: object) -> None:
        self.kernel.close()

    def from_pod(self, *frames: bytes, gso_segs: int = 0) -> None:
        for frame in frames:
            assert run(self.kernel.programs["ew_from_pod"], frame, gso_segs=gso_segs)[0] == DROP_NOTHING

    def to_pod(self, *frames: bytes, gso_segs: int = 0) -> None:
        for frame in frames:
            assert run(self.kernel.programs["ew_to_pod"], frame, gso_segs=gso_segs)[0] == DROP_NOTHING

    def drain(self, **options: Any) -> tuple[list[Row], Books, Drained]:
        """One tick: its records, the interface's books of the window, the map's life."""
        parts: list[Edges] = []
        quiet = self.kernel.turn()
        drained = self.kernel.drain(quiet, lambda records: parts.append(from_records(records)), **options)
        edges = merge(parts)
        found = self.kernel.totals(IFINDEX)
        assert found is not None
        now = found["set"][quiet]
        window = since(now, self._before.get(quiet))
        self._before[quiet] = now
        recorded = recorded_by_interface(edges).get(IFINDEX, NOTHING)
        return rows(edges), close("uid", "lo", window, recorded), drained


def zero() -> np.ndarray[Any, Any]:
    return np.zeros(1, np.uint32)


def fill_flows(kernel: FlowKernel, keys: NDArray[Any], values: NDArray[Any]) -> None:
    """Entries (FLOW_KEY, FLOW) as if packets had made them."""
    attr = (0, 0, keys.ctypes.data, values.ctypes.data, len(keys), kernel.maps["flows"], 0, 0)
    bpf.call(_UPDATE_BATCH, struct.pack("<QQQQIIQQ", *attr))
