"""Evidence bundles: what is written is read, equal content gives equal bytes, and damage is refused with its name."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eastwest.model.flow import ip_bytes
from eastwest.model.schema import BY_NAME, EVIDENCE_REQUIRED
from eastwest.wire.bundle import Bundle, BundleError, read, write, write_zip

IP = pa.binary(16)


def flows(**columns: Any) -> pa.Table:
    base: dict[str, Any] = {
        "src_ip": pa.array([ip_bytes("10.0.0.1"), ip_bytes("fd00::1")], IP),
        "dst_ip": pa.array([ip_bytes("10.0.0.2")] * 2, IP),
        "protocol": pa.array([6, 17], pa.uint8()),
        "dst_port": pa.array([80, 53], pa.uint16()),
        "first_seen_ns": pa.array([1, 2], pa.int64()),
        "last_seen_ns": pa.array([10, 20], pa.int64()),
        "connections": pa.array([1, 2], pa.uint64()),
        "bytes_forward": pa.array([1, 2], pa.uint64()),
        "bytes_reverse": pa.array([1, 2], pa.uint64()),
    }
    given_columns = {k: v for k, v in {**base, **columns}.items() if v is not None}
    return pa.table(given_columns)


def bundle(**changes: Any) -> Bundle:
    made = Bundle(
        window_start_ns=0,
        window_end_ns=100,
        flows=flows(),
        cluster_files={"pods.yaml": "kind: Pod\n", "nodes.yaml": "kind: Node\n"},
        coverage={"complete": True, "ä": None},
        cluster="demo",
        tool_version="0.1.0",
    )
    return replace(made, **changes)


@pytest.fixture(params=["b", "b.zip"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def test_what_is_written_is_read(path: Path) -> None:
    given_bundle = bundle()
    write(path, given_bundle)
    got = read(path)
    assert got.flows.equals(given_bundle.flows.select(got.flows.column_names).cast(got.flows.schema))
    assert got.digest.startswith("sha256:")
    assert replace(got, flows=given_bundle.flows, digest="") == given_bundle


def test_columns_come_in_schema_order_and_foreign_ones_are_passed_over(path: Path) -> None:
    write(path, bundle(flows=flows(extra=[1, 2], src_pod=pa.array(["a", None])).select(
        ["extra", "src_pod", *reversed(flows().column_names)])))  # fmt: skip
    names = read(path).flows.column_names
    assert "extra" not in names
    assert names == [name for name in BY_NAME if name in names]


def test_a_foreign_column_in_the_file_is_tolerated(tmp_path: Path) -> None:
    write_by_hand(tmp_path, flows(extra=[1, 2]))
    assert "extra" not in read(tmp_path).flows.column_names


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    table = flows()
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)]).replace_schema_metadata({"made": "today"})
    turned = bundle(flows=chunked, cluster_files=dict(reversed(bundle().cluster_files.items())))
    one, two = io.BytesIO(), io.BytesIO()
    write_zip(one, bundle())
    write_zip(two, turned)
    assert one.getvalue() == two.getvalue()
    write(tmp_path / "folder", bundle())
    with zipfile.ZipFile(one) as archive:
        assert archive.namelist()[0] == "bundle.json"
        for name in archive.namelist():
            assert (tmp_path / "folder" / name).read_bytes() == archive.read(name)


def test_a_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(BundleError, match="not empty"):
        write(tmp_path, bundle())


def test_the_digest_is_what_sha256sum_says(tmp_path: Path) -> None:
    import hashlib

    write(tmp_path / "b", bundle())
    meta = json.loads((tmp_path / "b/bundle.json").read_text())
    names = ["cluster/nodes.yaml", "cluster/pods.yaml", "coverage.json", "flows.parquet"]
    listing = "".join(f"{hashlib.sha256((tmp_path / 'b' / n).read_bytes()).hexdigest()}  {n}\n" for n in names)
    assert meta["digest"] == "sha256:" + hashlib.sha256(listing.encode()).hexdigest()


@pytest.mark.parametrize("name", ["flows.parquet", "cluster/pods.yaml", "coverage.json"])
def test_a_changed_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / "b", bundle())
    with (tmp_path / "b" / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(BundleError, match=name):
        read(tmp_path / "b")


def test_added_and_removed_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "b", bundle())
    added = tmp_path / "b/cluster/more.yaml"
    added.write_text("kind: Pod\n")
    with pytest.raises(BundleError, match=r"more\.yaml is not listed"):
        read(tmp_path / "b")
    added.rename(tmp_path / "elsewhere")
    (tmp_path / "b/cluster/pods.yaml").unlink()
    with pytest.raises(BundleError, match=r"pods\.yaml is listed"):
        read(tmp_path / "b")


def write_by_hand(folder: Path, table: pa.Table, **meta: Any) -> None:
    pq.write_table(table, folder / "flows.parquet")
    (folder / "bundle.json").write_text(json.dumps({"version": 1, **meta}))


def test_a_bundle_made_by_hand(tmp_path: Path) -> None:
    write_by_hand(tmp_path, flows(), window={"start": "1970-01-01T00:00:01Z", "end": "1970-01-01T00:00:02.5+00:00"})
    got = read(tmp_path)
    assert (got.window_start_ns, got.window_end_ns) == (10**9, 2_500_000_000)
    assert (got.digest, got.coverage, got.cluster_files) == ("", None, {})
    write_by_hand(tmp_path, flows())
    assert (read(tmp_path).window_start_ns, read(tmp_path).window_end_ns) == (1, 21)


def test_wider_types_are_taken_where_nothing_is_lost(tmp_path: Path) -> None:
    wide = flows(
        src_ip=["10.0.0.1", "fd00::1"],
        dst_ip=pa.array([ip_bytes("10.0.0.2")] * 2, pa.binary()),
        protocol=pa.array([6, 17], pa.int64()),
        first_seen_ns=pa.array([1, 2], pa.timestamp("ns", "UTC")),
        src_pod=pa.array(["a", "b"]).dictionary_encode(),
        dst_pod=pa.array(["a", "b"], pa.large_string()),
    )
    write_by_hand(tmp_path, wide)
    got = read(tmp_path).flows
    assert got.select(flows().column_names).equals(flows().cast(got.select(flows().column_names).schema))
    assert got["src_pod"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize("name", EVIDENCE_REQUIRED)
def test_required_columns(tmp_path: Path, name: str) -> None:
    write_by_hand(tmp_path, flows(**{name: None}))
    with pytest.raises(BundleError, match=rf"flows\.parquet: required columns are missing: {name}"):
        read(tmp_path)
    nulls = flows()
    column = pa.array([nulls[name][0].as_py(), None], nulls[name].type)
    write_by_hand(tmp_path, flows(**{name: column}))
    with pytest.raises(BundleError, match=f"column {name}: row 1 is null"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("dst_port", pa.array([80, 70_000])),
        ("dst_port", pa.array(["http", "dns"])),
        ("protocol", pa.array([-1, 6])),
        ("src_ip", pa.array(["10.0.0.1", "here"])),
        ("src_ip", pa.array([b"\0" * 4] * 2, pa.binary(4))),
        ("bytes_forward", pa.array([1.5, 2.0])),
        ("src_pod", pa.array([[1], [2]])),
    ],
)
def test_wrong_types_name_the_column(tmp_path: Path, column: str, values: Any) -> None:
    write_by_hand(tmp_path, flows(**{column: values}))
    with pytest.raises(BundleError, match=f"column {column}"):
        read(tmp_path)
    with pytest.raises(BundleError, match=f"column {column}"):
        write(tmp_path / "b", bundle(flows=flows(**{column: values})))


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ('{"version": 2}', "version: 2"),
        ("[]", "must be an object"),
        ("{", "not JSON"),
        ('{"version": 1, "window": {"start_ns": 5, "end_ns": 4}}', "window"),
        ('{"version": 1, "window": {"start": "soon", "end": "later"}}', "window"),
        ('{"version": 1, "files": []}', "files"),
        ('{"version": 1, "digest": "sha256:0"}', "digest"),
    ],
)
def test_a_bad_bundle_json(tmp_path: Path, meta: str, words: str) -> None:
    write_by_hand(tmp_path, flows())
    (tmp_path / "bundle.json").write_text(meta)
    with pytest.raises(BundleError, match=words):
        read(tmp_path)


def test_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such file"):
        read(tmp_path / "none")
    with pytest.raises(BundleError, match=r"bundle\.json is missing"):
        read(tmp_path)
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(BundleError, match="not a readable zip"):
        read(tmp_path / "text.zip")


def zipped(path: Path, change: Callable[[zipfile.ZipFile], None]) -> Path:
    write(path, bundle())
    with zipfile.ZipFile(path, "a") as archive:
        change(archive)
    return path


@pytest.mark.parametrize("name", ["../evil.yaml", "/etc/passwd", "cluster/../../x.yaml", "C:/x.yaml"])
def test_members_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "b.zip", lambda archive: archive.writestr(name, "x"))
    with pytest.raises(BundleError, match="outside"):
        read(path)


def test_links_are_refused(tmp_path: Path) -> None:
    def link(archive: zipfile.ZipFile) -> None:
        member = zipfile.ZipInfo("cluster/link.yaml")
        member.create_system = 3
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")

    with pytest.raises(BundleError, match="is a link"):
        read(zipped(tmp_path / "b.zip", link))
    write(tmp_path / "b", bundle())
    (tmp_path / "b/cluster/link.yaml").symlink_to("/etc/passwd")
    with pytest.raises(BundleError, match="is a link"):
        read(tmp_path / "b")


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = zipped(tmp_path / "b.zip", lambda archive: archive.writestr("cluster/pods.yaml", "x"))
    with pytest.raises(BundleError, match="twice"):
        read(path)


def test_cluster_files_have_plain_names(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="plain name"):
        write(tmp_path / "b", bundle(cluster_files={"../x.yaml": ""}))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_a_damaged_zip_is_refused_or_read_whole(at: int, change: int, cut: bool) -> None:
    import tempfile

    out = io.BytesIO()
    write_zip(out, bundle())
    content = bytearray(out.getvalue())
    at %= len(content)
    if cut:
        del content[at:]
    else:
        content[at] ^= change
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "b.zip"
        path.write_bytes(content)
        try:
            got = read(path)
        except BundleError:
            return
        assert got.flows.num_rows == 2
        assert got.cluster_files == bundle().cluster_files
