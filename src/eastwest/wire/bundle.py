"""The evidence bundle: flows, cluster objects and coverage of a window as a folder or a zip, readable without a cluster.

    bundle.json      version, window, cluster, tool, and the SHA-256 of every other file
    flows.parquet    columns of model.schema; EVIDENCE_REQUIRED must be there
    cluster/*.yaml   Kubernetes objects (texts here; `k8s` reads and writes them)
    coverage.json    what was seen and what was not (optional)

Equal content gives equal bytes. Nothing is ever unpacked to disk; a bundle that is damaged or tries to reach outside
itself is refused with a `BundleError`.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

import pyarrow as pa

from eastwest.wire.evidence import BundleError, read_flows, write_flows

VERSION: Final = 1
META, FLOWS, COVERAGE, CLUSTER = "bundle.json", "flows.parquet", "coverage.json", "cluster/"
MAX_TEXT_BYTES: Final = 1 << 30
MAX_FLOWS_BYTES: Final = 32 << 30
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# What zipfile and its decompressors raise on damaged input (found by fuzzing).
_ZIP_ERRORS: Final = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, NotImplementedError, RuntimeError, EOFError, OSError,
    ValueError, KeyError, OverflowError,
)  # fmt: skip

__all__ = ["Bundle", "BundleError", "read", "write", "write_zip"]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content. Times are ns since the Unix epoch; the window is [start, end)."""

    window_start_ns: int
    window_end_ns: int
    flows: pa.Table
    cluster_files: Mapping[str, str] = field(default_factory=dict)  # name within cluster/ -> YAML text
    coverage: Mapping[str, Any] | None = None
    cluster: str = ""  # the cluster's name
    tool_version: str = ""
    digest: str = ""  # filled in by `read` and `write`; "" when bundle.json of a hand-made bundle has none


def write(path: Path, bundle: Bundle) -> None:
    """Write a folder, or a zip when the name ends in .zip. A folder must be new or empty."""
    if path.suffix.lower() == ".zip":
        with path.open("wb") as file:
            write_zip(file, bundle)
        return
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise BundleError(f"{path}: not empty")
    for name, content in _contents(bundle).items():
        target = path / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)


def write_zip(file: IO[bytes], bundle: Bundle) -> None:
    """Write the zip to an open file: fixed dates and order, so that equal content gives equal bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in _contents(bundle).items():
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = 3
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            member.compress_type = zipfile.ZIP_STORED if name == FLOWS else zipfile.ZIP_DEFLATED
            archive.writestr(member, content)


def read(path: Path, columns: Collection[str] | None = None) -> Bundle:
    """Read and check a folder or a zip. Raises BundleError naming the file and what is wrong with it.

    `columns`: of the optional ones only these; see `read_flows`.
    """
    if path.is_dir():
        return _read(_Folder(path), columns)
    if not path.exists():
        raise BundleError(f"{path}: no such file or folder")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(_Zip(path, archive), columns)
    except BundleError:
        raise
    except _ZIP_ERRORS as error:
        raise BundleError(f"{path}: not a readable zip: {error}") from None


def _contents(bundle: Bundle) -> dict[str, bytes]:
    """Every file's bytes, bundle.json first, then by name."""
    files = {FLOWS: write_flows(bundle.flows)}
    for name, text in bundle.cluster_files.items():
        if PurePosixPath(name).name != name or not name.endswith(".yaml"):
            raise BundleError(f"cluster file {name!r}: expected a plain name ending in .yaml")
        files[CLUSTER + name] = text.encode()
    if bundle.coverage is not None:
        files[COVERAGE] = _json(bundle.coverage)
    hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    meta = {
        "version": VERSION,
        "cluster": bundle.cluster,
        "tool": f"eastwest {bundle.tool_version}".strip(),
        "window": {"start_ns": bundle.window_start_ns, "end_ns": bundle.window_end_ns},
        "files": hashes,
        "digest": _digest(hashes),
    }
    return {META: _json(meta), **{name: files[name] for name in hashes}}


def _digest(hashes: Mapping[str, str]) -> str:
    """Of the list `sha256sum` prints for the files, by name."""
    listing = "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return "sha256:" + hashlib.sha256(listing.encode()).hexdigest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


class _Folder:
    """A bundle as files. Links are refused: they could lead anywhere."""

    def __init__(self, path: Path) -> None:
        self.label = str(path)
        self.names = []
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            if file.is_symlink():
                raise BundleError(f"{path}: {name} is a link; a bundle holds plain files only")
            if file.is_file():
                self.names.append(name)
        self._path = path

    def content(self, name: str, limit: int) -> bytes:
        file = self._path / name
        if file.stat().st_size > limit:
            raise BundleError(f"{self.label}: {name} is larger than {limit} bytes")
        return file.read_bytes()


class _Zip:
    """A bundle as a zip. Names that lead outside, links and encrypted members are refused."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.label = str(path)
        self._archive = archive
        self.names: list[str] = []
        for member in archive.infolist():
            name = member.filename
            parts = PurePosixPath(name).parts
            if name.startswith("/") or "\\" in name or ".." in parts or ":" in (parts or ("",))[0]:
                raise BundleError(f"{path}: member {name!r} leads outside the bundle")
            if stat.S_ISLNK(member.external_attr >> 16):
                raise BundleError(f"{path}: {name} is a link; a bundle holds plain files only")
            if member.flag_bits & 1:
                raise BundleError(f"{path}: {name} is encrypted")
            if member.is_dir():
                continue
            if name in self.names:
                raise BundleError(f"{path}: {name} stands twice")
            self.names.append(name)

    def content(self, name: str, limit: int) -> bytes:
        with self._archive.open(name) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise BundleError(f"{self.label}: {name} is larger than {limit} bytes")
        return content


def _read(source: _Folder | _Zip, columns: Collection[str] | None) -> Bundle:
    for name in (META, FLOWS):
        if name not in source.names:
            raise BundleError(f"{source.label}: not an evidence bundle: {name} is missing")
    meta = _object(source, META)
    version = meta.get("version")
    if version not in (VERSION, str(VERSION)):
        raise BundleError(f"{source.label}: {META}: version: {version!r} is not {VERSION}, which this eastwest reads")
    texts = [n for n in source.names if n.startswith(CLUSTER) and n.endswith((".yaml", ".yml", ".json"))]
    wanted = [FLOWS, *texts, *([COVERAGE] if COVERAGE in source.names else [])]
    contents = {name: source.content(name, MAX_FLOWS_BYTES if name == FLOWS else MAX_TEXT_BYTES) for name in wanted}
    digest = _verify(source, meta, contents)
    flows = read_flows(io.BytesIO(contents.pop(FLOWS)), f"{source.label}: {FLOWS}", columns)
    start_ns, end_ns = _window(source, meta, flows)
    tool = meta.get("tool")
    return Bundle(
        window_start_ns=start_ns,
        window_end_ns=end_ns,
        flows=flows,
        cluster_files={name.removeprefix(CLUSTER): _text(source, name, contents[name]) for name in sorted(texts)},
        coverage=_object(source, COVERAGE, contents[COVERAGE]) if COVERAGE in contents else None,
        cluster=str(meta.get("cluster") or ""),
        tool_version=str(tool or "").removeprefix("eastwest "),
        digest=digest,
    )


def _verify(source: _Folder | _Zip, meta: Mapping[str, Any], contents: Mapping[str, bytes]) -> str:
    """The digest, checked file by file; "" where a hand-made bundle states none."""
    stated, listed = meta.get("digest"), meta.get("files")
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    if listed is not None and not isinstance(listed, dict):
        raise BundleError(f"{source.label}: {META}: files: must be an object of names and SHA-256")
    listed = hashes if listed is None else listed
    for name in sorted(listed.keys() | hashes.keys()):
        if name not in hashes:
            raise BundleError(f"{source.label}: {name} is listed in {META} but missing")
        if name not in listed:
            raise BundleError(f"{source.label}: {name} is not listed in {META}")
        if hashes[name] != listed[name]:
            raise BundleError(f"{source.label}: {name} is damaged or was changed: its SHA-256 is not the one in {META}")
    if stated is not None and stated != _digest(hashes):
        raise BundleError(f"{source.label}: damaged or changed: the digest of its files is not the one in {META}")
    return stated or ""


def _window(source: _Folder | _Zip, meta: Mapping[str, Any], flows: pa.Table) -> tuple[int, int]:
    """The stated window; of a hand-made bundle that states none, the span of its flows."""
    window = meta.get("window")
    if window is None:
        if not flows.num_rows:
            return 0, 0
        first, last = (flows[name].to_numpy() for name in ("first_seen_ns", "last_seen_ns"))
        return int(first.min()), int(last.max()) + 1
    bounds = [_moment(window, key) if isinstance(window, dict) else None for key in ("start", "end")]
    start_ns, end_ns = bounds
    if start_ns is None or end_ns is None or start_ns > end_ns:
        raise BundleError(
            f"{source.label}: {META}: window: needs start_ns <= end_ns in whole nanoseconds (or start and end in RFC 3339)"
        )
    return start_ns, end_ns


def _moment(window: Mapping[str, Any], key: str) -> int | None:
    exact, text = window.get(f"{key}_ns"), window.get(key)
    if isinstance(exact, int):
        return exact
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return (at - _UNIX_EPOCH) // timedelta(microseconds=1) * 1000 if at is not None and at.tzinfo else None


def _object(source: _Folder | _Zip, name: str, content: bytes | None = None) -> Mapping[str, Any]:
    raw = source.content(name, MAX_TEXT_BYTES) if content is None else content
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{source.label}: {name}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BundleError(f"{source.label}: {name}: must be an object")
    return value


def _text(source: _Folder | _Zip, name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{source.label}: {name}: not UTF-8: {error}") from None
