"""Kubernetes objects as they stand in files: YAML and JSON, many documents, lists; each with its file and line.

Nothing here knows what a Pod is. One unreadable document never stops the rest: it becomes a `Problem`. `manifests`
calls it and gives the objects their types.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from eastwest.k8s.yamltext import BadYaml, Document, documents

FieldPath = tuple[str | int, ...]
Severity = Literal["error", "warning", "note"]
CLUSTER_SCOPED: Final = ("Namespace", "Node", "ClusterNetworkPolicy")
SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the input: an error was left out, a warning was kept, a note was assumed."""

    severity: Severity
    message: str
    file: str
    line: int = 0  # 1 is the first line; 0 = the whole file
    field: str = ""  # such as spec.ingress[0].ports[1].port
    object: str = ""  # such as NetworkPolicy shop/allow-ui

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (where, self.object, self.field, self.message) if part)


@dataclass(frozen=True, slots=True)
class RawObject:
    """One object, unparsed. `body` always has text for `apiVersion` and `kind`."""

    body: Mapping[str, Any]
    file: str
    line: int = 0
    document: Document | None = field(default=None, repr=False, compare=False)
    prefix: FieldPath = ()  # where the object stands inside its document (items of a List)

    @property
    def kind(self) -> str:
        return str(self.body.get("kind", ""))

    @property
    def api_version(self) -> str:
        return str(self.body.get("apiVersion", ""))

    @property
    def group(self) -> str:
        """The API group; "" for the core group."""
        version = self.api_version
        return version.rpartition("/")[0]

    @property
    def metadata(self) -> Mapping[str, Any]:
        value = self.body.get("metadata")
        return value if isinstance(value, dict) else {}

    @property
    def name(self) -> str:
        """metadata.name, else metadata.generateName without its last dash, else ""."""
        name = self.metadata.get("name") or str(self.metadata.get("generateName") or "").rstrip("-")
        return name if isinstance(name, str) else ""

    @property
    def namespace(self) -> str:
        """metadata.namespace; "" when it has none (what that means depends on the kind)."""
        value = self.metadata.get("namespace")
        return value if isinstance(value, str) else ""

    @property
    def scope(self) -> str:
        """The namespace it lives in: "default" where it names none, "" for what has no namespace."""
        return "" if self.kind in CLUSTER_SCOPED else self.namespace or "default"

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def line_of(self, path: FieldPath) -> int:
        """The line of a field, or of the nearest thing around it that exists. Reads the document again: for errors."""
        if self.document is None:
            return self.line
        return self.document.line_of((*self.prefix, *path)) or self.line

    def problem(self, severity: Severity, path: FieldPath, message: str) -> Problem:
        return Problem(severity, message, self.file, self.line_of(path), spell(path), str(self))


def spell(path: FieldPath) -> str:
    """`spec.ingress[0].from`."""
    out = ""
    for step in path:
        out += f"[{step}]" if isinstance(step, int) else (f".{step}" if out else step)
    return out


def load_raw(path: Path | str) -> tuple[list[RawObject], list[Problem]]:
    """Every object in a file, or in a folder and its subfolders, in the order of file names and of lines.

    A path that does not exist, and every file or document that cannot be read, is an error in the second list.
    """
    found: list[RawObject] = []
    problems: list[Problem] = []
    root = Path(path)
    if not root.exists():
        return [], [Problem("error", "no such file or folder", str(path))]
    for file in _files(root):
        try:
            text = file.read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem("error", f"cannot be read: {error}", str(file)))
            continue
        load_text(text, str(file), found, problems, strict=root.is_file())
    return found, problems


def load_text(text: str, file: str, found: list[RawObject], problems: list[Problem], *, strict: bool = True) -> None:
    """Append every object of one file's text. Not `strict`: a document that is no object at all is a note only."""
    if file.endswith(".json"):
        _load_json(text, file, found, problems, strict=strict)
        return
    for document in documents(text):
        try:
            body, line = document.value()
        except BadYaml as error:
            problems.append(Problem("error", error.message, file, error.line))
            continue
        problems.extend(
            Problem("warning", f"key {key!r} stands twice here; the last one counts", file, at)
            for key, at in document.repeated
        )
        _take(body, file, line, document, (), found, problems, strict=strict)


def _load_json(text: str, file: str, found: list[RawObject], problems: list[Problem], *, strict: bool) -> None:
    try:
        body = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        problems.append(Problem("error", f"not JSON: {getattr(error, 'msg', None) or error}", file, line))
        return
    _take(body, file, 1, Document(text, 1), (), found, problems, strict=strict)


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _take(
    body: Any, file: str, line: int, document: Document, prefix: FieldPath,
    found: list[RawObject], problems: list[Problem], *, strict: bool,
) -> None:  # fmt: skip
    """Append an object, or the items of a List (and of a List inside it)."""
    if body is None:
        return
    if not isinstance(body, dict) or not ({"apiVersion", "kind"} & body.keys()):
        if isinstance(body, list) and body and all(isinstance(item, dict) and "kind" in item for item in body):
            _take_items(body, file, line, document, prefix, found, problems, strict=strict)
            return
        severity: Severity = "error" if strict else "note"
        problems.append(
            Problem(severity, "not a Kubernetes object (no apiVersion and kind)", file, line, spell(prefix))
        )
        return
    for key in ("apiVersion", "kind"):
        if not isinstance(body.get(key), str) or not body[key]:
            problems.append(Problem("error", f"{key} must be text", file, line, spell((*prefix, key))))
            return
    items = body.get("items")
    if body["kind"].endswith("List") and isinstance(items, list):
        item_kind = body["kind"].removesuffix("List")
        typed = [_typed(item, item_kind, body["apiVersion"]) for item in items]
        _take_items(typed, file, line, document, (*prefix, "items"), found, problems, strict=strict)
        return
    found.append(RawObject(body, file, line, document, prefix))


def _take_items(
    items: Sequence[Any], file: str, line: int, document: Document, prefix: FieldPath,
    found: list[RawObject], problems: list[Problem], *, strict: bool,
) -> None:  # fmt: skip
    lines = document.item_lines(prefix, len(items))
    for index, item in enumerate(items):
        at = lines[index] if lines else line
        if len(prefix) > 8:
            problems.append(Problem("error", "lists inside lists inside lists", file, at, spell(prefix)))
            return
        _take(item, file, at, document, (*prefix, index), found, problems, strict=strict)


def _typed(item: Any, kind: str, api_version: str) -> Any:
    """Items of a typed list (PodList) may leave out their kind; a plain List's may not."""
    if kind and isinstance(item, dict) and "kind" not in item:
        return {"apiVersion": api_version, "kind": kind, **item}
    return item


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    found = []
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        found += [Path(folder, n) for n in names if n.lower().endswith(SUFFIXES) and not n.startswith(".")]
    yield from sorted(found)


_DNS_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def valid_name(name: str) -> bool:
    """Whether the API server takes it as an object's name (RFC 1123 subdomain, at most 253 characters)."""
    return len(name) <= 253 and _DNS_SUBDOMAIN.fullmatch(name) is not None
