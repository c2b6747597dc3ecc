"""What the documentation names exists: links, paths, commands with their options, and make targets."""

from __future__ import annotations

import argparse
import io
import re
from contextlib import redirect_stderr, suppress
from functools import cache
from pathlib import Path

import pytest

from eastwest.cli.main import COMMANDS, _build

ROOT = Path(__file__).parents[1]
FOLDERS = ("bench", "bpf", "deploy", "docs", "scripts", "src", "tests", "web/src")
PAGES = sorted(
    p
    for p in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bpf/*.md"), *ROOT.glob("src/**/*.md"))
    if p.name != "CHANGELOG.md"  # speaks of the past
)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
QUOTED = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w-][\w./-]*\.(?:py|h|c|ts|tsx|toml|sh|css)")
FOLDER = re.compile(r"(?:[\w-]+/)+")
COMMAND = re.compile(r"eastwest ([a-z].*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")


@cache
def there() -> tuple[frozenset[str], frozenset[str]]:
    """Files and folders of the project, each also by every end of its path."""
    files: set[str] = set()
    folders: set[str] = set()
    for top in FOLDERS:
        for path in (ROOT / top, *(ROOT / top).rglob("*")):
            if "__pycache__" not in path.parts:
                parts = path.relative_to(ROOT).parts
                ends = {"/".join(parts[i:]) for i in range(len(parts))}
                (folders if path.is_dir() else files).update(ends)
    files.update(p.name for p in ROOT.iterdir() if p.is_file())
    folders.update(p.name for p in ROOT.iterdir() if p.is_dir())
    made = [line for line in (ROOT / ".gitignore").read_text().splitlines() if line.endswith("/")]
    folders.update(line.rstrip("/") for line in made)
    return frozenset(files), frozenset(folders)


@cache
def known(command: str) -> tuple[frozenset[str], frozenset[str]]:
    """A command's actions, and the options of it and of all of them."""
    actions: set[str] = set()
    options: set[str] = set()
    waiting: list[argparse.ArgumentParser | None] = [_build(command)[1]]
    while waiting:
        parser = waiting.pop()
        assert parser is not None
        with suppress(SystemExit), redirect_stderr(io.StringIO()):
            parser.parse_known_args([])  # some know their options only from here on
        for action in parser._actions:
            options.update(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                actions.update(action.choices)
                waiting += action.choices.values()
    return frozenset(actions), frozenset(options)


def wrong(page: Path) -> list[str]:
    """What a page names that is not there."""
    text, found = page.read_text(), []
    files, folders = there()
    found += [link for link in LINK.findall(text) if "://" not in link and not (page.parent / link).exists()]
    for word in QUOTED.findall(text):
        if FILE.fullmatch(word) and word not in files:
            found.append(word)
        if FOLDER.fullmatch(word) and word.rstrip("/") not in folders:
            found.append(word)
    for line in (
        *QUOTED.findall(text),
        *(line.strip().removeprefix("$ ") for line in text.splitlines() if "$ " in line),
    ):
        said = COMMAND.match(line)
        if said is None:
            continue
        words = said[1].partition(" #")[0].split()
        if words[0] not in COMMANDS:
            found.append(line)
            continue
        actions, options = known(words[0])
        if actions and len(words) > 1 and re.fullmatch(r"[a-z][a-z-]*", words[1]) and words[1] not in actions:
            found.append(line)
        found += [f"{line}: {o}" for o in OPTION.findall(" ".join(words[1:])) if o not in options]
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.M))
    return found + [
        f"make {target}" for target in re.findall(r"(?:^|`)make ([a-z]\w*)", text, re.M) if target not in targets
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    assert wrong(page) == []


def test_a_page_with_mistakes_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "[gone](gone.md) `store/gone.py` `gone/` `eastwest flwos` `eastwest policy chek`\n"
        "$ eastwest flows --vrdict denied\nmake tset\n"
        "`store/edges.py` `bpf/flow/` `eastwest flows --verdict denied` `make test` `eastwest policy check`\n"
    )
    assert wrong(page) == [
        "gone.md",
        "store/gone.py",
        "gone/",
        "eastwest flwos",
        "eastwest policy chek",
        "eastwest flows --vrdict denied: --vrdict",
        "make tset",
    ]
