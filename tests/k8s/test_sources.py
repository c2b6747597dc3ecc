"""Sources of events: folders, watch logs, and a bundle's dated objects."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from eastwest.k8s.sources import VALID_FROM, VALID_TO, EventType, ManifestSource, ObjectSource, WatchLogSource
from k8s.factories_k8s import pod


def line(kind: str, name: str, at_ns: int) -> str:
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "a", "uid": name}}
    return json.dumps({"type": kind, "at_ns": at_ns, "object": body}) + "\n"


def test_a_watch_log_is_tailed_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "watch.jsonl"
    source = WatchLogSource(path)
    assert source.poll() == []
    whole = line("ADDED", "a", 1) + line("MODIFIED", "b", 2)
    path.write_text(whole[:-10])
    assert [(e.type, e.object.name, e.at_ns) for e in source.poll()] == [(EventType.ADDED, "a", 1)]
    path.write_text(whole + line("DELETED", "a", 3))
    assert [(e.type, e.object.name, e.at_ns) for e in source.poll()] == [
        (EventType.MODIFIED, "b", 2),
        (EventType.DELETED, "a", 3),
    ]
    assert source.poll() == []


def test_a_replaced_watch_log_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "watch.jsonl"
    path.write_text(line("ADDED", "a", 1) * 3)
    source = WatchLogSource(path)
    assert len(source.poll()) == 3
    (tmp_path / "new").write_text(line("ADDED", "b", 9))
    (tmp_path / "new").replace(path)
    assert [e.object.name for e in source.poll()] == ["b"]


def test_bad_lines_are_problems_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "watch.jsonl"
    path.write_text(
        "{}\n" + line("ADDED", "a", 1) + line("BOOKMARK", "a", 1) + "not json\n" + '{"type":"ADDED","at_ns":"1"}\n'
    )
    source = WatchLogSource(path)
    assert len(source.poll()) == 1
    assert [p.line for p in source.problems] == [1, 3, 4, 5]


@given(st.binary(max_size=300))
def test_any_bytes_in_a_watch_log_are_events_or_problems(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "watch.jsonl"
        path.write_bytes(data + b"\n")
        WatchLogSource(path).poll()


def test_a_folder_reports_edits(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {type: %s}\n"
    (tmp_path / "a.yaml").write_text(text % ("a", "ClusterIP"))
    (tmp_path / "b.yaml").write_text(text % ("b", "ClusterIP"))
    source = ManifestSource(tmp_path, lambda: 77)
    assert [(e.type, e.object.name, e.at_ns) for e in source.poll()] == [
        (EventType.ADDED, "a", 0),
        (EventType.ADDED, "b", 0),
    ]
    (tmp_path / "a.yaml").write_text(text % ("a", "LoadBalancer"))
    (tmp_path / "b.yaml").unlink()
    assert [(e.type, e.object.name, e.at_ns) for e in source.poll()] == [
        (EventType.DELETED, "b", 77),
        (EventType.MODIFIED, "a", 77),
    ]


def test_dated_objects_have_a_beginning_and_an_end() -> None:
    dated = pod("a", "10.0.0.1", annotations={VALID_FROM: "5", VALID_TO: "9"})
    source = ObjectSource([pod("b", "10.0.0.2"), dated, pod("c", annotations={VALID_FROM: "soon"})])
    assert [(e.type, e.object.name, e.at_ns) for e in source.poll()] == [
        (EventType.ADDED, "b", 0),
        (EventType.ADDED, "c", 0),
        (EventType.ADDED, "a", 5),
        (EventType.DELETED, "a", 9),
    ]
    assert source.poll() == []
    assert len(source.problems) == 1
