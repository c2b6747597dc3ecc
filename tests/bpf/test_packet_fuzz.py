"""The packet parser in user space under libFuzzer: a fixed sample here, ten minutes in `make soak`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

BPF = Path(__file__).parents[2] / "bpf"
RUNS, SEED = 200_000, 1

pytestmark = pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")


def build(folder: Path, *flags: str) -> Path:
    fuzzer = folder / "fuzz"
    argv = ["make", "-s", "-C", str(BPF), "fuzz", f"FUZZER={fuzzer}", f"FUZZ={' '.join(flags)}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if "libclang_rt.fuzzer" in done.stderr:
        pytest.skip("this clang comes without libFuzzer (Debian: libclang-rt-14-dev)")
    assert done.returncode == 0, done.stderr
    return fuzzer


def fuzz(fuzzer: Path) -> subprocess.CompletedProcess[str]:
    corpus = fuzzer.parent / "corpus"
    corpus.mkdir()
    argv = [str(fuzzer), f"-runs={RUNS}", f"-seed={SEED}", "-max_len=256", str(corpus)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=fuzzer.parent, timeout=120)


def test_any_bytes_are_parsed_within_bounds_and_wherever_the_linear_part_ends(tmp_path: Path) -> None:
    done = fuzz(build(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    found = len(list((tmp_path / "corpus").iterdir()))
    print(f"packet parser: {RUNS} inputs from seed {SEED}, {found} of them reached something new")
    assert found > 50


def test_a_parser_that_reads_too_far_is_found(tmp_path: Path) -> None:
    done = fuzz(build(tmp_path, "-DEW_BROKEN"))
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
