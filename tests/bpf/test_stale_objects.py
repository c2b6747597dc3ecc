"""An object that was compiled from other sources than Python expects is refused by name, before anything of it is used."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from eastwest.agent import loader
from eastwest.agent.drop.hook import DropHook
from eastwest.agent.drop.hook import HookRefusedError as DropRefusedError
from eastwest.agent.kernel import FlowKernel

pytestmark = pytest.mark.root
BPF = Path(__file__).parents[2] / "bpf"


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of objects of its own, which the loader reads: as built, until a test puts another one in its place."""
    folder = tmp_path / "objects"
    shutil.copytree(loader.OBJECTS, folder)
    monkeypatch.setattr(loader, "OBJECTS", folder)
    return folder


def build(objects: Path, name: str, file: str, *changes: tuple[str, str]) -> None:
    """The object `name`, from sources where `file` was changed."""
    sources = objects.parent / "bpf"
    shutil.copytree(BPF, sources)
    text = (sources / file).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (sources / file).write_text(text)
    target = objects / f"{name}.bpf.o"
    target.unlink()
    subprocess.run(["make", "-s", "-C", str(sources), f"OUT={objects}", str(target)], check=True, capture_output=True)


def test_a_record_of_another_size(objects: Path) -> None:
    """It would otherwise be read as numpy thinks; and the object without conntrack, which fits, is no way out."""
    larger = ("\t__u32 pad2;\n", "\t__u32 pad2;\n\t__u64 more;\n"), ("ew_record) == 144", "ew_record) == 152")
    build(objects, "flow_conntrack", "flow/flow.h", *larger)
    with pytest.raises(
        loader.StaleObjectError, match=r"flow_conntrack\.bpf\.o .*ew_record has 152 .* 144 .*make -C bpf"
    ):
        FlowKernel()


def test_fields_in_another_order(objects: Path) -> None:
    build(objects, "drop", "drop/drop.h", ("\t__u64 packets;\n\t__u64 bytes;", "\t__u64 bytes;\n\t__u64 packets;"))
    with pytest.raises(DropRefusedError, match=r"drop\.bpf\.o .*drop_value has bytes, packets .*make -C bpf"):
        DropHook()


def test_a_map_that_is_not_there(objects: Path) -> None:
    """This one ended the process: libbpf follows the null pointer that it answers with."""
    build(objects, "drop", "drop/drop.bpf.c", ("drop_owner", "drop_reader"))
    with pytest.raises(DropRefusedError, match=r"drop\.bpf\.o .*no map drop_owner.*make -C bpf"):
        DropHook()


def test_a_program_that_is_not_there(objects: Path) -> None:
    build(objects, "drop", "drop/drop.bpf.c", ("int drop_kfree_skb", "int drop_freed"))
    with pytest.raises(DropRefusedError, match=r"drop\.bpf\.o .*no program drop_kfree_skb"):
        DropHook()
