"""The argument parser of every command: one line that says what is wrong and what to do, instead of the whole usage."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable
from typing import NoReturn

_CHOICE = re.compile(r"(?P<where>argument \S+: )?invalid choice: '(?P<given>[^']*)' \(choose from (?P<choices>.*)\)$")
_SURPLUS = "unrecognized arguments: "


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that was probably meant; None when nothing comes close."""
    found = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return found[0] if found else None


def _choice(match: re.Match[str]) -> str:
    given, choices = match["given"], re.findall(r"'([^']*)'", match["choices"])
    meant = nearest(given, choices)
    where = (match["where"] or "").removeprefix("argument ")
    return f"{where}{given!r} is none of {', '.join(choices)}" + (f"; did you mean {meant}?" if meant else "")


class Parser(argparse.ArgumentParser):
    """Says the error in one line and names the help that has the examples; exit code 2."""

    filter_words = False
    """The command takes a filter, which the shell cuts into words when it is not quoted."""

    def error(self, message: str) -> NoReturn:
        match = _CHOICE.match(message)
        text = _choice(match) if match else message
        self.exit(2, f"{self.prog}: {text}\n  {self.prog} --help has examples\n")

    def check(self, surplus: list[str]) -> None:
        """Refuse words that no argument took."""
        if not surplus:
            return
        if self.filter_words and not surplus[0].startswith("-"):
            self.error(
                f"{_SURPLUS}{' '.join(surplus)}; write a filter as one word, in quotes: 'dst_namespace = orders'"
            )
        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        meant = nearest(surplus[0].partition("=")[0], known)
        self.error(f"{_SURPLUS}{' '.join(surplus)}" + (f"; did you mean {meant}?" if meant else ""))


def examples_of(lines: str, words: str) -> str:
    """Of a command's examples those of one action (`words`, such as "eastwest enforce set"), for the action's own help."""
    own = [
        line
        for line in lines.splitlines()
        if line.strip().startswith((f"{words} ", f"{words}\n")) or line.strip() == words
    ]
    return "examples:\n" + "\n".join(own) if own else ""
