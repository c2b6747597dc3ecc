from __future__ import annotations

import struct

import pytest

from eastwest.agent.btf import VMLINUX, Btf, BtfError, kernel


def blob() -> bytes:
    """enum skb_drop_reason {A=0, B=7}; typedef btf_trace_drop -> pointer -> function(void *, skb_drop_reason)."""
    text = b"\0skb_drop_reason\0A\0B\0btf_trace_drop\0"
    at = {word: text.index(b"\0" + word + b"\0") + 1 for word in (b"skb_drop_reason", b"A", b"B", b"btf_trace_drop")}
    types = struct.pack("<III", at[b"skb_drop_reason"], 6 << 24 | 2, 4)  # 1
    types += struct.pack("<IiIi", at[b"A"], 0, at[b"B"], 7)
    types += struct.pack("<III", 0, 13 << 24 | 2, 0) + struct.pack("<IIII", 0, 0, 0, 1)  # 2: function(void, 1)
    types += struct.pack("<III", 0, 2 << 24, 2)  # 3: pointer to 2
    types += struct.pack("<III", at[b"btf_trace_drop"], 8 << 24, 3)  # 4
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(text))
    return header + types + text


def test_an_enum_and_a_tracepoint_s_arguments() -> None:
    btf = Btf(blob())
    assert btf.enum("skb_drop_reason") == {0: "A", 7: "B"}
    assert btf.tracepoint_arguments("drop") == ("skb_drop_reason",)


def test_what_is_not_there_is_none() -> None:
    btf = Btf(blob())
    assert btf.enum("other") is None
    assert btf.enum("A") is None  # a word, but no enum
    assert btf.tracepoint_arguments("other") is None


@pytest.mark.parametrize("raw", [b"", b"\0" * 32])
def test_what_is_not_btf_is_refused(raw: bytes) -> None:
    with pytest.raises(BtfError):
        Btf(raw)


@pytest.mark.skipif(not VMLINUX.exists(), reason="this kernel has no BTF")
def test_the_running_kernel() -> None:
    reasons = kernel().enum("skb_drop_reason")
    assert reasons is not None
    assert "SKB_DROP_REASON_NO_SOCKET" in reasons.values()
    arguments = kernel().tracepoint_arguments("kfree_skb")
    assert arguments is not None
    assert arguments[0] == "sk_buff"
