"""System calls that the kernel refuses to a process, by seccomp(2): a kernel that lacks a feature, for real and for one agent only."""

from __future__ import annotations

import platform

BPF = {"x86_64": 321, "aarch64": 280}[platform.machine()]
SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
SENDTO = {"x86_64": 44, "aarch64": 206}[platform.machine()]
RAW_TRACEPOINT_OPEN, LINK_CREATE = 17, 28  # commands of bpf(2)
AF_NETLINK, NETLINK_NETFILTER = 16, 12

Rule = tuple[int, dict[int, int], int]
"""A system call's number, the low words of arguments by their place, and the errno that it gets."""

_CODE = """
import ctypes, struct
def _refuse(rules):
    lines = []
    for number, arguments, error in rules:
        tests = [(0, number), *((16 + 8 * place, value) for place, value in arguments.items())]
        for i, (at, value) in enumerate(tests):
            past = 2 * (len(tests) - 1 - i) + 1  # to the next rule
            lines += [(0x20, 0, 0, at), (0x15, 0, past, value)]
        lines.append((0x06, 0, 0, 0x00050000 | error))  # SECCOMP_RET_ERRNO
    lines.append((0x06, 0, 0, 0x7FFF0000))  # SECCOMP_RET_ALLOW
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, program) == 0, ctypes.get_errno()  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
_refuse(%r)
"""


def refusing(*rules: Rule) -> str:
    """Python that makes the kernel refuse these to the process that runs it, for good."""
    return _CODE % (list(rules),)
