"""What could come at the cursor: columns, operators, values known in the store, or how to go on."""

from __future__ import annotations

from typing import Final

from eastwest.query.errors import ParameterError
from eastwest.query.filter.parser import operators
from eastwest.query.filter.tokens import Kind, Token, quoted, tokens
from eastwest.query.filter.words import WORDS, Sort, Word
from eastwest.store.protocol import Store
from eastwest.store.questions import Range, Words
from eastwest.store.verdicts import REASONS

LIMIT: Final = 50


def suggest(store: Store, range_: Range, text: str, cursor: int) -> tuple[list[str], int]:
    """(completions, offset from which one replaces the text up to the cursor); 0 <= cursor <= len(text)."""
    before = text[:cursor]
    found, part = _split(before)
    state, word, opened = _walk(found)
    begin = part.start if part else cursor
    typed = part.text if part else ""
    match state:
        case "column":
            offers = [*_matching([*WORDS], typed), *_matching(["not", "("], typed)]
        case "operator" if word is not None:
            offers = _matching([*operators(word)], typed)
        case "value" if word is not None:
            offers = _values(store, range_, word, typed)
        case "list":
            offers = [",", ")"]
        case _:
            offers = _matching(["and", "or", *([")"] if opened else [])], typed)
    return offers[:LIMIT], begin


def _split(before: str) -> tuple[list[Token], Token | None]:
    """The finished tokens, and the one that the cursor still touches."""
    try:
        found = tokens(before)[:-1]
    except ParameterError as open_end:
        at = open_end.position or 0
        return tokens(before[:at])[:-1], Token(Kind.QUOTED, before[at + 1 :], at, len(before))
    if found and found[-1].end == len(before) and found[-1].kind in (Kind.WORD, Kind.OPERATOR):
        last = found[-1]
        if last.kind is Kind.WORD or last.text in ("<", ">", "!"):
            return (found[:-1], last) if last.kind is Kind.WORD else (found, None)
    return found, None


def _walk(found: list[Token]) -> tuple[str, Word | None, int]:
    """(what is expected next, the word it belongs to, open parentheses), however wrong the text so far is."""
    state, word, opened, in_list = "column", None, 0, False
    for token in found:
        match state:
            case "column":
                if token.kind is Kind.OPEN:
                    opened += 1
                elif token.kind is Kind.WORD and not token.is_word("not"):
                    word, state = WORDS.get(token.text.lower()), "operator"
            case "operator":
                if token.kind is Kind.OPERATOR:
                    state = "value"
                elif token.is_word("in"):
                    state, in_list = "value", True
            case "value":
                if token.kind is not Kind.OPEN:
                    state = "list" if in_list else "more"
            case "list":
                state = "value" if token.kind is Kind.COMMA else "more"
                in_list = state == "value"
            case _:
                if token.kind is Kind.CLOSE:
                    opened = max(0, opened - 1)
                else:
                    state, word = "column", None
    return state, word, opened


def _matching(choices: list[str], typed: str) -> list[str]:
    """Those that begin with what was typed, then those that hold it."""
    text = typed.lower()
    return [c for c in choices if c.startswith(text)] + [c for c in choices if text in c and not c.startswith(text)]


def _values(store: Store, range_: Range, word: Word, typed: str) -> list[str]:
    if word.values:
        lower = typed.lower()
        return [v for v in word.values if lower in v.lower()]
    if word.sort is Sort.TEXT:
        known: dict[str, None] = {}
        for column in word.columns:
            stored = column.removeprefix("egress_").removeprefix("ingress_") if column in REASONS else column
            answer = store.ask(Words(range_, stored, typed.strip("*"), LIMIT))
            known.update((str(found), None) for found in answer.column("word").to_pylist())
        return [quoted(v) for v in known] + (["null"] if word.nullable and "null".startswith(typed.lower()) else [])
    return []
