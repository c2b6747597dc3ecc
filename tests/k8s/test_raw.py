"""Reading manifests: what is found, with which line, and what a broken file does to the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eastwest.k8s.raw import Problem, RawObject, load_raw, load_text

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


def read(text: str, file: str = "f.yaml") -> tuple[list[RawObject], list[Problem]]:
    found: list[RawObject] = []
    problems: list[Problem] = []
    load_text(text, file, found, problems)
    return found, problems


def test_documents_have_their_lines() -> None:
    found, problems = read(CONFIG % "a" + "---\n# a comment\n" + CONFIG % "b" + "---\n---\n" + CONFIG % "c")
    assert [(o.name, o.line) for o in found] == [("a", 1), ("b", 6), ("c", 11)]
    assert problems == []


def test_comment_before_the_first_marker_is_no_document() -> None:
    found, problems = read("# licence\n\n---\n" + CONFIG % "a")
    assert [(o.name, o.line) for o in found] == [("a", 4)]
    assert problems == []


def test_one_bad_document_stops_nothing() -> None:
    found, problems = read(CONFIG % "a" + "---\nkind: {{ .Values.kind }}\n  x: [\n---\n" + CONFIG % "b")
    assert [o.name for o in found] == ["a", "b"]
    assert len(problems) == 1
    assert problems[0].severity == "error"
    assert 5 <= problems[0].line <= 7


def test_lists_give_each_item_its_line() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: a\n- apiVersion: v1\n  kind: Pod\n"
    found, _ = read(text)
    assert [(o.kind, o.line) for o in found] == [("Pod", 4), ("Pod", 8)]
    assert found[0].line_of(("metadata", "name")) == 7


def test_a_typed_list_gives_its_items_their_kind() -> None:
    found, problems = read("apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n")
    assert [(o.kind, o.api_version, o.name) for o in found] == [("Pod", "v1", "a")]
    assert problems == []


def test_json_files_and_lists(tmp_path: Path) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}],
    }
    (tmp_path / "one.json").write_text(json.dumps(body, indent=2))
    (tmp_path / "bad.json").write_text('{"apiVersion": "v1",\n}')
    found, problems = load_raw(tmp_path)
    assert [(o.name, o.line) for o in found] == [("a", 5)]
    assert [(Path(p.file).name, p.line) for p in problems] == [("bad.json", 2)]


def test_folders_are_read_in_order_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b/one.yml", "a/two.yaml", ".git/three.yaml", "c.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONFIG % path.stem)
    found, problems = load_raw(tmp_path)
    assert [o.name for o in found] == ["two", "one"]
    assert problems == []


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    assert [p.severity for p in load_raw(tmp_path / "none")[1]] == ["error"]


def test_values_files_in_a_folder_are_noted_only(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text("replicas: 3\n")
    assert [p.severity for p in load_raw(tmp_path)[1]] == ["note"]
    assert [p.severity for p in load_raw(tmp_path / "values.yaml")[1]] == ["error"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2001-01-01", "2001-01-01"),
        ("12:30:45", "12:30:45"),
        ("yes", True),
        ("off", False),
        ("'yes'", "yes"),
        ("0777", 511),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        ("~", None),
        ("", None),
        ("089abc", "089abc"),
    ],
)
def test_scalars_as_kubernetes_reads_them(text: str, value: object) -> None:
    found, _ = read(f"apiVersion: v1\nkind: X\nv: {text}\n")
    assert found[0].body["v"] == value
    assert type(found[0].body["v"]) is type(value)


def test_keys_are_text_and_repeated_ones_are_reported() -> None:
    found, problems = read("apiVersion: v1\nkind: X\n8080: a\nkind: Y\n")
    assert found[0].body["8080"] == "a"
    assert found[0].kind == "Y"
    assert [(p.severity, p.line) for p in problems] == [("warning", 4)]


def test_merge_keys() -> None:
    found, _ = read("apiVersion: v1\nkind: X\na: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n")
    assert found[0].body["b"] == {"x": 1, "y": 3}


def test_an_alias_bomb_is_refused() -> None:
    text = "apiVersion: v1\nkind: X\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
    for n in range(1, 12):
        text += f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n"
    found, problems = read(text)
    assert found == []
    assert "aliases" in problems[0].message


def test_an_anchor_inside_itself_is_refused() -> None:
    found, problems = read("apiVersion: v1\nkind: X\na: &a [*a]\n")
    assert found == []
    assert problems


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 50_000, "[" * 300 + "]" * 300]
)
def test_deep_nesting_is_refused_not_a_crash(text: str) -> None:
    found, problems = read(text)
    assert found == []
    assert [p.severity for p in problems] == ["error"]


def test_a_foreign_tag_is_refused() -> None:
    assert "tag" in read("apiVersion: v1\nkind: !!python/name:os.system x\n")[1][0].message


def test_brackets_inside_text_are_no_nesting() -> None:
    found, problems = read("apiVersion: v1\nkind: X\na: |\n" + "  ((([[[{{{\n" * 200)
    assert len(found) == 1
    assert problems == []


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), st.text("-:?[]{}&*!|>'\"%@`#,\n ab1\t", max_size=300)))
def test_any_text_is_read_or_reported(text: str) -> None:
    for file in ("f.yaml", "f.json"):
        found, problems = read(text, file)
        for o in found:
            assert o.kind
            assert 1 <= o.line <= text.count("\n") + 1
        for p in problems:
            assert p.message
