"""YAML text to plain values, as Kubernetes reads it, with lines, in bounded time and memory.

Differs from PyYAML's safe loader where the API server does: no dates, no base-60 numbers, keys are text. Refuses what
only an attack contains: nesting beyond `MAX_DEPTH` (libyaml's composer overflows the C stack at about 50,000), aliases
that expand beyond `MAX_ALIASED` values, an anchor that contains itself, foreign tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 200
MAX_ALIASED: Final = 200_000
MAX_LOCATED: Final = 1_000_000  # characters of a document in which a field's line is still looked up
_TAG: Final = "tag:yaml.org,2002:"
_BOOL: Final = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
_MARKER: Final = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_OPENING: Final = re.compile(r"[\[\]{}]")


class BadYaml(ValueError):  # noqa: N818
    """Text that is no YAML, or refused. `line` counts from 1 in the whole file."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class _Loader(yaml.CSafeLoader):
    """Only the plain scalars that mean something in a Kubernetes manifest."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag.rpartition(":")[2] in ("null", "bool", "merge")]
    for first, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    _TAG + "int", re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)\Z"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(r"(?:[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"),
    list("-+0123456789."),
)  # fmt: skip


@dataclass(slots=True)
class Document:
    """One document of a file and the line of its first character."""

    text: str
    first_line: int
    repeated: list[tuple[str, int]] = field(default_factory=list)  # keys that stood twice, and where
    items: list[int] = field(default_factory=list)  # lines of a List's items, known once `value` was called

    def value(self) -> tuple[Any, int]:
        """The value and the line it starts on. Raises BadYaml."""
        node = self._compose()
        if node is None:
            return None, self.first_line
        items = _step(node, "items")
        if items is not None and isinstance(items[1], yaml.SequenceNode):
            self.items = [self.first_line + item.start_mark.line for item in items[1].value]
        try:
            return _Builder(self).build(node), self.first_line + node.start_mark.line
        except RecursionError:
            raise BadYaml("nested too deep", self.first_line) from None

    def line_of(self, path: tuple[str | int, ...]) -> int:
        """The line of the deepest existing thing along `path`; 0 when it cannot be told cheaply."""
        node = _composed(self.text) if len(self.text) <= MAX_LOCATED else None
        if node is None:
            return 0
        line = node.start_mark.line
        for step in path:
            found = _step(node, step)
            if found is None:
                break
            line, node = found
        return self.first_line + int(line)

    def item_lines(self, path: tuple[str | int, ...], count: int) -> list[int]:
        """The lines of a list's items; empty when they cannot be told cheaply."""
        if path == ("items",) and len(self.items) == count:
            return self.items
        node = _composed(self.text) if len(self.text) <= MAX_LOCATED else None
        for step in path:
            found = _step(node, step)
            if found is None:
                return []
            node = found[1]
        items = node.value if isinstance(node, yaml.SequenceNode) else []
        return [self.first_line + item.start_mark.line for item in items] if len(items) == count else []

    def _compose(self) -> Any:
        _check_depth(self)
        loader = _Loader(self.text)
        try:
            return loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            words = " ".join(part for part in (error.context, error.problem) if part)
            raise BadYaml(f"not YAML: {words}", self.first_line + (mark.line if mark else 0)) from None
        except (yaml.YAMLError, UnicodeError, ValueError) as error:
            raise BadYaml(f"not YAML: {' '.join(str(error).split())}", self.first_line) from None
        finally:
            loader.dispose()


@lru_cache(maxsize=1)
def _composed(text: str) -> Any:
    """The nodes of a text, None when it is none; the last one is kept, because errors come in bunches."""
    try:
        return Document(text, 1)._compose()
    except BadYaml:
        return None


def documents(text: str) -> Iterator[Document]:
    """Split a file at its `---` lines, so that one broken document leaves the others readable."""
    starts = [match.start() for match in _MARKER.finditer(text)]
    head = text[: starts[0]] if starts else text
    if starts and not _content(head):
        head = ""
    bounds = ([] if starts and not head else [0]) + starts + [len(text)]
    line = 1 + (text.count("\n", 0, bounds[0]) if bounds else 0)
    for begin, end in pairwise(bounds):
        part = text[begin:end]
        if _content(part):
            yield Document(part, line)
        line += part.count("\n")


def _content(part: str) -> bool:
    """Whether anything but comments, directives and markers stands here."""
    for row in part.splitlines():
        words = row.strip()
        if words and not words.startswith("#") and not row.startswith("%") and words not in ("---", "..."):
            return True
    return False


def _step(node: Any, step: str | int) -> tuple[int, Any] | None:
    """(line of the key or item, the node there)."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None


def _check_depth(document: Document) -> None:
    """Refuse nesting beyond MAX_DEPTH: a cheap upper bound first, the parser's own events only when that is exceeded."""
    text = document.text
    depth = deepest = 0
    for match in _OPENING.finditer(text):
        depth = depth + 1 if match.group() in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    for match in re.finditer(r"^[ ?:-]*", text, re.MULTILINE):
        deepest = max(deepest, depth + len(match.group()) // 2) if len(match.group()) > MAX_DEPTH else deepest
    if deepest <= MAX_DEPTH // 2:
        return
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                depth += 1
                if depth > MAX_DEPTH:
                    line = event.start_mark.line if event.start_mark else 0
                    raise BadYaml(f"nested deeper than {MAX_DEPTH}", document.first_line + line)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                depth -= 1
    except yaml.YAMLError:
        return  # the composer meets the same error before it is that deep, and words it


class _Builder:
    """Nodes to values. An alias shares its value; what it would expand to is counted."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.done: dict[int, tuple[Any, int]] = {}  # id(node) -> value, expanded size
        self.open: set[int] = set()
        self.aliased = 0
        self.size = 0

    def build(self, node: Any) -> Any:
        if isinstance(node, yaml.ScalarNode):
            self.size += 1
            return self._scalar(node)
        seen = self.done.get(id(node))
        if seen is not None:
            self.aliased += seen[1]
            self.size += seen[1]
            if self.aliased > MAX_ALIASED:
                raise self._bad(node, "aliases expand to too many values")
            return seen[0]
        if id(node) in self.open:
            raise self._bad(node, "an anchor contains itself")
        self.open.add(id(node))
        before = self.size
        self.size += 1
        if isinstance(node, yaml.SequenceNode):
            value: Any = [self.build(item) for item in node.value]
        else:
            value = self._mapping(node)
        self.open.discard(id(node))
        self.done[id(node)] = (value, self.size - before)
        return value

    def _mapping(self, node: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._bad(key, "a key must be text")
            if key.tag == _TAG + "merge":
                part = self.build(value)
                for source in part if isinstance(part, list) else [part]:
                    if not isinstance(source, dict):
                        raise self._bad(key, "<< needs a mapping")
                    merged = {**source, **merged}
                continue
            name = str(key.value)
            if name in out:
                self.document.repeated.append((name, self.document.first_line + key.start_mark.line))
            out[name] = self.build(value)
        return {**merged, **out} if merged else out

    def _scalar(self, node: Any) -> Any:
        tag, value = node.tag.removeprefix(_TAG), str(node.value)
        if tag == "str":
            return value
        if tag in ("null", "merge"):
            return None if tag == "null" else value
        if tag == "bool":
            return _BOOL.get(value.lower(), value)
        try:
            if tag == "int":
                return _integer(value.replace("_", ""))
            if tag == "float":
                return float(value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            return value
        if tag in ("binary", "timestamp"):
            return value
        raise self._bad(node, f"tag {node.tag} is not plain YAML")

    def _bad(self, node: Any, message: str) -> BadYaml:
        return BadYaml(message, self.document.first_line + node.start_mark.line)


def _integer(text: str) -> int:
    if len(text) > 100:
        raise ValueError(text)
    digits = text.lstrip("+-")
    if digits.startswith("0") and digits.isdigit() and len(digits) > 1:
        return int(text.replace("0", "0o", 1), 8)
    return int(text, 0)
