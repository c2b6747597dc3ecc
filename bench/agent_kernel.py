"""What a packet and a drain cost, without a network: BPF_PROG_TEST_RUN, and a map filled from user space."""

from __future__ import annotations

import ctypes
import os
import struct
import time

import numpy as np

from bpf import packets as p
from bpf.flow_bench import FlowBench, fill_flows, run
from eastwest.agent import bpf
from eastwest.agent.abi import FLOW, FLOW_KEY
from eastwest.agent.columns import Context, columns
from eastwest.agent.edges import Edges, from_records, merge
from eastwest.agent.kernel import FlowKernel
from eastwest.agent.sizes import Sizes
from eastwest.wire.batch import encode_records

PROG_LOAD, TYPE_SCHED_CLS = 5, 3
POD, PEER, POD6, PEER6 = "10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"
FLOWS = 100_000


def program_ns(repeat: int = 100_000, best_of: int = 7) -> dict[str, int]:
    """ns per run beyond an empty program's (the floor), best of several."""

    def best(fd: int, frame: bytes) -> int:
        return min(run(fd, frame, repeat=repeat)[1] for _ in range(best_of))

    empty = _empty_program()
    cases = {
        "TCP IPv4 from pod": ("ew_from_pod", p.ip(POD, PEER, p.TCP, p.tcp(40000, 80, p.ACK, payload=bytes(64)))),
        "TCP IPv4 to pod": ("ew_to_pod", p.ip(PEER, POD, p.TCP, p.tcp(80, 40000, p.ACK, payload=bytes(64)))),
        "TCP IPv6 from pod": ("ew_from_pod", p.ip(POD6, PEER6, p.TCP, p.tcp(40000, 80, p.ACK, payload=bytes(64)))),
        "UDP IPv4 from pod": ("ew_from_pod", p.ip(POD, PEER, p.UDP, p.udp(40000, 53, bytes(64)))),
    }
    with FlowBench(sizes=Sizes(65536, 1024, 256)) as bench:
        floor = best(empty, cases["TCP IPv4 from pod"][1])
        found = {"floor": floor}
        for name, (program, frame) in cases.items():
            found[name] = best(bench.kernel.programs[program], frame) - floor
    os.close(empty)
    return found


def _empty_program() -> int:
    code = struct.pack("<BBhi", 0xB7, 0, 0, -1) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    words, licence = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")
    return bpf.call(
        PROG_LOAD, struct.pack("<IIQQ", TYPE_SCHED_CLS, 2, ctypes.addressof(words), ctypes.addressof(licence))
    )


def drain_ms(rounds: int = 5) -> dict[str, float]:
    """One tick's work at 100,000 counted entries that become 5,000 edges: CPU of each part, best of several."""
    kernel = FlowKernel(Sizes(flows=131_072))
    context = Context("c", "n", 0, 1, 0, {i: f"uid-{i}" for i in range(2, 102)})
    found: dict[str, list[float]] = {"kernel walk": [], "add up": [], "encode": [], "whole tick": []}
    try:
        for _ in range(rounds):
            _fill(kernel)
            times = _one_tick(kernel, context)
            for name, value in times.items():
                found[name].append(value)
    finally:
        kernel.close()
    return {name: round(min(values) * 1e3, 1) for name, values in found.items()}


def _one_tick(kernel: FlowKernel, context: Context) -> dict[str, float]:
    parts: list[Edges] = []
    adding = 0.0

    def each(records: np.ndarray[tuple[int], np.dtype[np.void]]) -> None:
        nonlocal adding
        began = time.process_time()
        parts.append(from_records(records))
        adding += time.process_time() - began

    start = time.process_time()
    drained = kernel.drain(kernel.turn(), each)
    walked = time.process_time()
    edges = merge(parts)
    merged = time.process_time()
    encode_records(columns(edges, context), len(edges))
    end = time.process_time()
    assert drained.entries == FLOWS
    assert len(edges) == 5000
    return {
        "kernel walk": walked - start - adding,
        "add up": adding + merged - walked,
        "encode": end - merged,
        "whole tick": end - start,
    }


def _fill(kernel: FlowKernel) -> None:
    """100 pods with 1,000 connections each to 50 peers, all counted in the set that is drained next."""
    i = np.arange(FLOWS)
    keys, values = np.zeros(FLOWS, FLOW_KEY), np.zeros(FLOWS, FLOW)
    keys["pod_addr"][:, 10:12] = keys["peer_addr"][:, 10:12] = 255
    keys["pod_addr"][:, 15], keys["peer_addr"][:, 15] = i % 100, i // 100 % 50
    keys["ifindex"], keys["pod_port"], keys["peer_port"], keys["protocol"] = 2 + i % 100, 1024 + i // 100, 80, 6
    values["role"], values["role_source"], values["flags"] = 1, 4, 3
    values["quiet_since_ns"] = time.monotonic_ns()
    counted = values["set"][:, kernel.epoch & 1]
    counted["bytes"], counted["first_ns"], counted["last_ns"] = 1000, 1, time.monotonic_ns()
    counted["tally"]["packets"] = counted["tally"]["segments"] = 5
    values["set"][:, kernel.epoch & 1] = counted
    fill_flows(kernel, keys, values)
