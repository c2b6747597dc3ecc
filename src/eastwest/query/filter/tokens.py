"""Filter text as tokens with their places."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from eastwest.query.errors import ParameterError


class Kind(Enum):
    WORD = "word"
    QUOTED = "quoted text"
    OPERATOR = "operator"
    OPEN = "("
    CLOSE = ")"
    COMMA = ","
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is unquoted; [start, end) is its place in the filter, quotes included."""

    kind: Kind
    text: str
    start: int
    end: int

    def is_word(self, word: str) -> bool:
        """Whether it is that keyword, in any case."""
        return self.kind is Kind.WORD and self.text.lower() == word


_PATTERN: Final = re.compile(
    r"""(?P<space>\s+)
    |(?P<operator>!=|!~|==|<=|>=|[=<>~])
    |(?P<open>\()|(?P<close>\))|(?P<comma>,)
    |(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<word>[^\s=<>~!(),"']+)""",
    re.VERBOSE | re.DOTALL,
)
_KINDS: Final = {
    "operator": Kind.OPERATOR,
    "open": Kind.OPEN,
    "close": Kind.CLOSE,
    "comma": Kind.COMMA,
    "quoted": Kind.QUOTED,
    "word": Kind.WORD,
}


def tokens(text: str) -> list[Token]:
    """All tokens and an END. Raises ParameterError at a character that begins nothing."""
    found, at = [], 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        if match is None:
            raise ParameterError("filter", _stray(text[at]), at, at + 1 if text[at] == "!" else len(text))
        name = match.lastgroup or ""
        if name != "space":
            value = re.sub(r"\\(.)", r"\1", match[0][1:-1], flags=re.DOTALL) if name == "quoted" else match[0]
            found.append(Token(_KINDS[name], "=" if value == "==" else value, at, match.end()))
        at = match.end()
    return [*found, Token(Kind.END, "", len(text), len(text))]


def _stray(character: str) -> str:
    if character == "!":
        return "! alone means nothing: write != or !~, or not before a condition"
    return f"the quoted text that begins with {character} does not end"


def quoted(value: str) -> str:
    """The value as it must be written in a filter."""
    if value and _PATTERN.fullmatch(value) and re.fullmatch(r"[^\s=<>~!(),\"'\\]+", value):
        return value if value.lower() not in ("and", "or", "not", "in", "null") else f'"{value}"'
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
