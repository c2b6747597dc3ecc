"""Filter text to a predicate: or < and < not < one condition; parentheses group; errors point at a token."""

from __future__ import annotations

from typing import Final

from eastwest.query.errors import ParameterError
from eastwest.query.filter.tokens import Kind, Token, tokens
from eastwest.query.filter.values import address, number, protocol, wrong
from eastwest.query.filter.words import WORDS, Sort, Word, nearest
from eastwest.store.predicates import (
    EVERYTHING,
    And,
    Compare,
    Glob,
    IsNull,
    Not,
    OneOf,
    Operator,
    Or,
    Predicate,
)

MAX_CHARS: Final = 4000
MAX_DEPTH: Final = 40
KEYWORDS: Final = ("and", "or", "not", "in", "null")
_ORDERED: Final = (Sort.NUMBER, Sort.SIZE, Sort.TIME)
_NEGATIVE: Final = {"!=": "=", "!~": "~"}


def parse(text: str) -> Predicate:
    """The predicate that `text` means; an empty text is true for every edge. Raises ParameterError with a place."""
    if len(text) > MAX_CHARS:
        raise ParameterError("filter", f"longer than {MAX_CHARS} characters", MAX_CHARS, len(text))
    return _Parser(tokens(text)).whole()


def operators(word: Word) -> tuple[str, ...]:
    """What may stand behind a word."""
    if word.sort is Sort.TEXT:
        return ("=", "!=", "~", "!~", "in")
    return ("=", "!=", "<", "<=", ">", ">=", "in") if word.sort in _ORDERED else ("=", "!=", "in")


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0
        self._depth = 0

    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def whole(self) -> Predicate:
        if self._next().kind is Kind.END:
            return EVERYTHING
        predicate = self._or()
        if self._next().kind is not Kind.END:
            hint = "this ) closes nothing" if self._next().kind is Kind.CLOSE else "expected and, or, or the end"
            raise wrong(self._next(), hint)
        return predicate

    def _or(self) -> Predicate:
        parts = [self._and()]
        while self._next().is_word("or"):
            self._take()
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self) -> Predicate:
        parts = [self._not()]
        while self._next().is_word("and"):
            self._take()
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _not(self) -> Predicate:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise wrong(self._next(), f"nested more than {MAX_DEPTH} deep")
        try:
            if self._next().is_word("not"):
                self._take()
                return Not(self._not())
            if self._next().kind is Kind.OPEN:
                opened = self._take()
                inner = self._or()
                if self._next().kind is not Kind.CLOSE:
                    missing = self._next().kind is Kind.END
                    raise wrong(
                        opened if missing else self._next(), "this ( is not closed" if missing else "expected )"
                    )
                self._take()
                return inner
            return self._condition()
        finally:
            self._depth -= 1

    def _condition(self) -> Predicate:
        word = self._word()
        operator = self._take()
        negated = operator.is_word("not")
        if negated:
            operator = self._take()
            if not operator.is_word("in"):
                raise wrong(operator, "expected in after not")
        if operator.is_word("in"):
            return self._any_of(word, negated)
        if operator.kind is not Kind.OPERATOR:
            raise wrong(operator, f"expected an operator after {word.name}: {' '.join(operators(word))}")
        return self._compare(word, operator, self._value(word))

    def _word(self) -> Word:
        token = self._take()
        if token.kind is not Kind.WORD or token.text.lower() in KEYWORDS:
            raise wrong(token, "expected a column, such as src_namespace or dst_port")
        word = WORDS.get(token.text.lower())
        if word is None:
            guess = nearest(token.text)
            hint = f"did you mean {guess}?" if guess else "a filter compares columns, such as src_workload = ui"
            raise wrong(token, f"no column {token.text!r}: {hint}")
        return word

    def _value(self, word: Word) -> Token:
        token = self._take()
        if token.kind not in (Kind.WORD, Kind.QUOTED):
            raise wrong(token, f"expected a value for {word.name}")
        if token.kind is Kind.WORD and token.text.lower() in ("and", "or", "not", "in"):
            raise wrong(token, f"expected a value for {word.name}; as a value, {token.text!r} is written in quotes")
        return token

    def _any_of(self, word: Word, negated: bool) -> Predicate:
        if self._next().kind is not Kind.OPEN:
            raise wrong(self._next(), "expected ( and a list of values after in")
        opened = self._take()
        values = [self._value(word)]
        while self._next().kind is Kind.COMMA:
            self._take()
            values.append(self._value(word))
        if self._next().kind is not Kind.CLOSE:
            raise wrong(opened if self._next().kind is Kind.END else self._next(), "expected , or ) in the list")
        self._take()
        found = Or(tuple(_one_of(word, column, values) for column in word.columns))
        predicate = found.parts[0] if len(found.parts) == 1 else found
        return Not(predicate) if negated else predicate

    def _compare(self, word: Word, operator: Token, value: Token) -> Predicate:
        if operator.text not in operators(word):
            allowed = ", ".join(operators(word))
            raise wrong(operator, f"{word.name} is {word.sort.value}: {operator.text} cannot compare it; use {allowed}")
        positive = _NEGATIVE.get(operator.text, operator.text)
        parts = tuple(_compare(word, column, positive, value) for column in word.columns)
        predicate = parts[0] if len(parts) == 1 else Or(parts)
        return Not(predicate) if operator.text in _NEGATIVE else predicate


def _compare(word: Word, column: str, operator: str, value: Token) -> Predicate:
    if value.is_word("null") and operator == "=":
        if not word.nullable:
            raise wrong(value, f"{word.name} is never unknown")
        return IsNull(column)
    match word.sort:
        case Sort.TEXT:
            return _text(word, column, operator, value)
        case Sort.ADDRESS:
            return address(column, value)
        case Sort.PROTOCOL:
            return Compare(column, Operator.EQ, protocol(value))
        case _:
            return Compare(column, Operator(operator), number(word, value))


def _text(word: Word, column: str, operator: str, value: Token) -> Predicate:
    if operator == "~":
        return Glob(column, value.text if set("*?") & set(value.text) else f"*{value.text}*")
    if word.values and value.text not in word.values:
        raise wrong(value, f"{word.name} is never {value.text!r}; it is one of {', '.join(word.values)}")
    return Compare(column, Operator.EQ, value.text)


def _one_of(word: Word, column: str, values: list[Token]) -> Predicate:
    parts = [_compare(word, column, "=", value) for value in values]
    plain = [p.value for p in parts if isinstance(p, Compare)]
    rest = tuple(p for p in parts if not isinstance(p, Compare))
    listed: tuple[Predicate, ...] = (OneOf(column, tuple(plain)),) if plain else ()
    both = (*listed, *rest)
    return both[0] if len(both) == 1 else Or(both)
